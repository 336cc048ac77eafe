//go:build mutant_commitcap

package cluster

// mutantCommitCap: this build believes commit indexes of what was not compared.
const mutantCommitCap = true
