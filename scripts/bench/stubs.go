package main

import (
	"context"
	"time"
)

type point struct {
	load, offered, goodput, refused, cpu float64
	p50, p99                             time.Duration
}

func plot([]point) []byte                                 { return nil }
func overload(context.Context, *config, *report) error    { return nil }
func manyCallers(context.Context, *config, *report) error { return nil }
func manyModels(context.Context, *config, *report) error  { return nil }
func crossed(context.Context, *config, *report) error     { return nil }
