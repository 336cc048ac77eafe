//go:build !mutant_commitcap

package cluster

// mutantCommitCap is true in a build that believes commit indexes of what was not compared: a simulation must find it out.
const mutantCommitCap = false
