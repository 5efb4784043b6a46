package gpu

import "regexp"

// lostContext matches CUDA errors after which a process's context is unusable:
// illegal addresses and instructions, failed asserts, launch failures.
var lostContext = regexp.MustCompile(`CUDA (?:failure|error) (?:700|702|710|71[4-9]|720)\b`)

func openCUDA(Config) []*device {
	return []*device{{Device: Device{ID: CUDA + ":0", Provider: CUDA, Reason: "no NVIDIA driver"}}}
}
