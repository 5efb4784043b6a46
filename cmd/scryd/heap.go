package main

// heapFloor is how far the heap may grow before the first collection pays off.
// Weights lie outside Go's heap, so that what is live in it is small, and the
// collector, which by default runs whenever the heap has doubled, would run for
// each few megabytes of requests: it took a quarter of the processor time of
// a small call.
const heapFloor = 80 << 20

// reserveHeap returns memory that counts as live as long as it is referred to.
// Nobody touches it, so that it takes addresses and no pages: the process grows
// by up to twice as much garbage, whatever the size of what is live.
func reserveHeap() []byte { return make([]byte, heapFloor) }
