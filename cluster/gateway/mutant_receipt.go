//go:build mutant_receipt

package gateway

// mutantReceipt: this build receipts commands before they are in the log.
const mutantReceipt = true
