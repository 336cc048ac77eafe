//go:build mutant_origin

package broker

// mutantOrigin: this build folds repeats and gaps.
const mutantOrigin = true
