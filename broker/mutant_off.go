//go:build !mutant_origin

package broker

// mutantOrigin is true in a build that folds repeats and gaps: a simulation must find it out.
const mutantOrigin = false
