package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// statusCmd shows the server.
type statusCmd struct {
	Wait time.Duration `placeholder:"DURATION" help:"Wait so long at most until the server is ready: all routed versions are loaded."`
}

func (c *statusCmd) Run(ctx context.Context, app *app) error {
	if err := app.output.noCSV(); err != nil {
		return err
	}
	server, err := app.dial(ctx)
	if err != nil {
		return err
	}
	if err := c.wait(ctx, server.Health()); err != nil {
		return err
	}
	info, err := server.ServerInfo(ctx)
	if err != nil {
		return err
	}
	health, err := server.Health().Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return err
	}
	devices, err := server.Server().ListDevices(ctx, &serverv1.ListDevicesRequest{})
	if err != nil {
		return err
	}
	loaded, err := server.Server().ListLoadedVersions(ctx, &serverv1.ListLoadedVersionsRequest{})
	if err != nil {
		return err
	}
	if app.output.json() {
		return writeStatusJSON(app.output, info, health, devices, loaded)
	}
	return writeStatus(app.output, app.connection.target, info, health, devices, loaded)
}

// wait returns when the server is ready.
func (c *statusCmd) wait(ctx context.Context, health healthpb.HealthClient) error {
	if c.Wait <= 0 {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	for {
		r, err := health.Check(waiting, &healthpb.HealthCheckRequest{})
		if r.GetStatus() == healthpb.HealthCheckResponse_SERVING {
			return nil
		}
		select {
		case <-waiting.Done():
			if ctx.Err() != nil || err == nil {
				err = ctx.Err()
			}
			return errors.Join(fmt.Errorf("the server was not ready within %v", c.Wait), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func writeStatusJSON(o *output, info *serverv1.GetServerInfoResponse, health *healthpb.HealthCheckResponse,
	devices *serverv1.ListDevicesResponse, loaded *serverv1.ListLoadedVersionsResponse) error {
	server, err := marshal(info)
	if err != nil {
		return err
	}
	all := struct {
		Health string            `json:"health"`
		Server json.RawMessage   `json:"server"`
		Device []json.RawMessage `json:"devices"`
		Loaded []json.RawMessage `json:"loaded_versions"`
	}{Health: health.GetStatus().String(), Server: server, Device: []json.RawMessage{}, Loaded: []json.RawMessage{}}
	for _, d := range devices.GetDevices() {
		raw, err := marshal(d)
		if err != nil {
			return err
		}
		all.Device = append(all.Device, raw)
	}
	for _, v := range loaded.GetVersions() {
		raw, err := marshal(v)
		if err != nil {
			return err
		}
		all.Loaded = append(all.Loaded, raw)
	}
	return o.writeJSON(all)
}

func writeStatus(o *output, target string, info *serverv1.GetServerInfoResponse, health *healthpb.HealthCheckResponse,
	devices *serverv1.ListDevicesResponse, loaded *serverv1.ListLoadedVersionsResponse) error {
	state := cell{strings.ToLower(health.GetStatus().String()), o.good}
	if health.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		state.style = o.bad
	}
	t := o.table("SERVER", "STATE", "VERSION", "ONNX RUNTIME", "OPSET", "UP SINCE")
	t.row(target, state, info.GetVersion(), info.GetOnnxruntimeVersion(), fmt.Sprintf("≤ %d", info.GetMaxOpset()), timeText(info.GetStartTime().AsTime()))
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintln(o.out)
	t = o.table("DEVICE", "USED", "MEMORY FREE", "NAME OR REASON")
	for _, d := range devices.GetDevices() {
		used, memory, about := cell{"yes", o.good}, "", d.GetName()
		if !d.GetAvailable() {
			used, about = cell{"no", o.bad}, d.GetReason()
		}
		if d.GetMemoryTotalBytes() > 0 {
			memory = bytesText(d.GetMemoryFreeBytes()) + " of " + bytesText(d.GetMemoryTotalBytes())
		}
		t.row(d.GetId(), used, memory, about)
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintln(o.out)
	t = o.table("LOADED", "STATE", "ROUTED", "GRAPH", "DEVICE", "PRECISION", "QUEUED", "ROWS", "ROWS/RUN", "REMARK")
	for _, v := range loaded.GetVersions() {
		name, routed := fmt.Sprintf("%s@%d", v.GetModel(), v.GetVersion()), ""
		if v.GetRouted() {
			routed = "yes"
		}
		state := stateCell(o, v.GetState())
		if len(v.GetGraphs()) == 0 {
			t.row(name, state, routed, "", "", "", "", "", "", v.GetError())
		}
		for _, g := range v.GetGraphs() {
			perRun := ""
			if g.GetRuns() > 0 {
				perRun = fmt.Sprintf("%.1f", float64(g.GetComputedRows())/float64(g.GetRuns()))
			}
			remark := g.GetFallbackReason()
			if v.GetError() != "" {
				remark = v.GetError()
			}
			t.row(name, state, routed, g.GetName(), g.GetDevice(), g.GetPrecision(), g.GetQueuedRows(), g.GetComputedRows(), perRun, remark)
		}
	}
	return t.flush()
}

func stateCell(o *output, s modelstorev1.LoadState) cell {
	text := strings.ToLower(strings.TrimPrefix(s.String(), "LOAD_STATE_"))
	switch s {
	case modelstorev1.LoadState_LOAD_STATE_READY:
		return cell{text, o.good}
	case modelstorev1.LoadState_LOAD_STATE_FAILED:
		return cell{text, o.bad}
	}
	return cell{text, o.strong}
}
