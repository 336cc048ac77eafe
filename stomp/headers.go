package stomp

// Names of the headers that the protocol itself gives a meaning to.
const (
	HeaderAcceptVersion = "accept-version"
	HeaderAck           = "ack"
	HeaderContentLength = "content-length"
	HeaderContentType   = "content-type"
	HeaderDestination   = "destination"
	HeaderErrorCode     = "error-code"
	HeaderHeartBeat     = "heart-beat"
	HeaderHost          = "host"
	HeaderID            = "id"
	HeaderLogin         = "login"
	HeaderMessage       = "message"
	HeaderMessageID     = "message-id"
	HeaderPasscode      = "passcode"
	HeaderReceipt       = "receipt"
	HeaderReceiptID     = "receipt-id"
	HeaderServer        = "server"
	HeaderSession       = "session"
	HeaderSubscription  = "subscription"
	HeaderTransaction   = "transaction"
	HeaderVersion       = "version"
)
