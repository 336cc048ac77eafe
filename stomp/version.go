package stomp

import "strings"

// Version is a version of the protocol. VersionNone is that of a connection that has none yet.
type Version uint8

// The versions, in rising order.
const (
	VersionNone Version = iota
	V10
	V11
	V12
)

// SupportedVersions is the value of the `version` header of a refusal.
const SupportedVersions = "1.0,1.1,1.2"

// String gives the version as it is on the wire, "" for VersionNone.
func (v Version) String() string {
	switch v {
	case V10:
		return "1.0"
	case V11:
		return "1.1"
	case V12:
		return "1.2"
	default:
		return ""
	}
}

// ParseVersion reads one version as it is on the wire. ok is false for one that this package does not speak.
func ParseVersion(s string) (v Version, ok bool) {
	switch s {
	case "1.0":
		return V10, true
	case "1.1":
		return V11, true
	case "1.2":
		return V12, true
	default:
		return VersionNone, false
	}
}

// NegotiateVersion picks the highest version that both sides speak out of the value of `accept-version`.
// A client that did not send the header (present is false) speaks 1.0. [STOMP12 §Protocol Negotiation]
func NegotiateVersion(acceptVersion string, present bool) (Version, *ProtocolError) {
	if !present {
		return V10, nil
	}
	best := VersionNone
	for word := range strings.SplitSeq(acceptVersion, ",") {
		if v, ok := ParseVersion(strings.Trim(word, " \t")); ok {
			best = max(best, v)
		}
	}
	if best == VersionNone {
		e := NewProtocolError(CodeUnsupportedVersion, "unsupported protocol version",
			"This server speaks "+SupportedVersions+". Name at least one of them in accept-version.")
		e.Headers = []string{HeaderVersion, SupportedVersions}
		return VersionNone, e
	}
	return best, nil
}
