//go:build !mutant_receipt

package gateway

// mutantReceipt is true in a build that receipts commands before they are in the log: a simulation must find it out.
const mutantReceipt = false
