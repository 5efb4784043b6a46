package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/proto/inference"
)

// echo is a bare grpc-go server in a process of its own, as the daemon is: what
// a call costs before anything is computed. raw takes the bytes as they come;
// decoded reads and writes the protocol's messages, as every server of it must.
type echo struct {
	cmd          *exec.Cmd
	raw, decoded string // addresses
}

const echoArgument = "echo-server"

// startEcho starts this program again as an echo server that gives every call
// the same answer.
func startEcho(answer []byte) (*echo, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	e := &echo{cmd: exec.Command(self, echoArgument, hex.EncodeToString(answer))}
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	e.cmd.Stderr = os.Stderr
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		e.stop()
		return nil, fmt.Errorf("the echo server did not start")
	}
	e.raw, e.decoded, _ = strings.Cut(lines.Text(), " ")
	return e, nil
}

func (e *echo) stop() {
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	_ = e.cmd.Wait() // ended by the signal
}

// rawEcho is registered under the protocol's method, past the generated code.
type rawEcho interface{ answer() []byte }

type fixedAnswer []byte

func (a fixedAnswer) answer() []byte { return a }

// decodedEcho answers by the generated code.
type decodedEcho struct {
	inference.UnimplementedGRPCInferenceServiceServer
	response *inference.ModelInferResponse
}

func (d *decodedEcho) ModelInfer(context.Context, *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	return d.response, nil
}

// serveEcho is the echo server's main.
func serveEcho(answer string) error {
	body, err := hex.DecodeString(answer)
	if err != nil {
		return err
	}
	decoded := &decodedEcho{response: &inference.ModelInferResponse{}}
	if err := proto.Unmarshal(body, decoded.response); err != nil {
		return err
	}
	desc := grpc.ServiceDesc{
		ServiceName: inference.GRPCInferenceService_ServiceDesc.ServiceName, HandlerType: (*rawEcho)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "ModelInfer",
			Handler: func(srv any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var in []byte
				if err := decode(&in); err != nil {
					return nil, err
				}
				out := srv.(rawEcho).answer()
				return &out, nil
			},
		}},
	}
	raw, typed := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{})), grpc.NewServer()
	raw.RegisterService(&desc, fixedAnswer(body))
	inference.RegisterGRPCInferenceServiceServer(typed, decoded)
	var addresses []string
	ended := make(chan error, 2)
	for _, s := range []*grpc.Server{raw, typed} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addresses = append(addresses, l.Addr().String())
		go func() { ended <- s.Serve(l) }()
	}
	fmt.Println(strings.Join(addresses, " "))
	return <-ended
}
