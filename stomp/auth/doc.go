// Package auth turns what a client presents at CONNECT into an Identity, or denies it.
//
// What it does: None takes the login as an unproven user name. Users checks login and passcode against a users file with bcrypt
// and argon2id hashes and follows the file when it changes. Both take the user from a verified client certificate
// when the client presents one and no passcode.
//
// What it refuses: it opens no sockets, knows no permissions (who may send where), keeps no sessions and never logs or returns a
// passcode, a hash or a line of the users file.
//
// The users file has one user a line, `name:hash` or `name:hash:flag,flag`. Empty lines and lines that begin with `#` are skipped.
//
//	# passcode users
//	alice:$2y$10$...                               bcrypt ($2a$, $2b$, $2y$)
//	orders:$argon2id$v=19$m=65536,t=3,p=2$...:service   argon2id; a service account
//	relay:*:service                                no passcode: a client certificate for "relay" only
//
// bcrypt itself reads 72 bytes of a passcode and no more; argon2id reads all of it.
//
// Goroutines: none of its own but Users.Run, which the owner of the Users starts once; fsnotify runs one more below it and ends with
// it. Authenticate is called from any number of goroutines and blocks for as long as its check waits and runs.
//
// Invariants:
//
//	I1: an Identity with Proven set was checked: a passcode against a hash, or a certificate by the TLS handshake.
//	I2: a login that is not in the file costs a check with the parameters of one that is, so that the time does not tell them apart.
//	I3: no more than checksConcurrentMax hashes are computed at a time in one Users.
//	I4: a remembered check holds only for the very file contents it was made with: a reload forgets all of them.
//	I5: a users file that has any fault changes nothing: at start Users is not made, later the users before it stay.
package auth
