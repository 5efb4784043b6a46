package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/scry-ml/scry/client/clienttest"
)

// asProgram in the environment makes the test binary the program.
const asProgram = "SCRY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	testscript.Main(m, map[string]func(){
		"scry": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// fakeKey is where a script's environment keeps its server.
type fakeKey struct{}

// serveFake starts an empty server and returns its address.
func serveFake() (fake *clienttest.Server, address string, stop func(), err error) {
	fake = clienttest.New()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, err
	}
	served := make(chan error, 1)
	go func() { served <- fake.Serve(lis) }()
	return fake, lis.Addr().String(), func() {
		fake.Stop()
		<-served
	}, nil
}

// TestScripts runs testdata/script: each script has an empty server of its own,
// named by SCRY_SERVER.
func TestScripts(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			fake, server, stop, err := serveFake()
			if err != nil {
				return err
			}
			env.Defer(stop)
			env.Values[fakeKey{}] = fake
			env.Setenv("SCRY_SERVER", server)
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "cache"))
			exporters, err := filepath.Abs("../../bundle/testdata/exporters")
			if err != nil {
				return err
			}
			env.Setenv("EXPORTERS", exporters)
			env.Setenv("HUGGINGFACE", filepath.Join(filepath.Dir(exporters), "hf"))
			env.Setenv("TZ", "UTC")
			env.Setenv("COLUMNS", "100")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"graph":   writeGraph,
			"server":  changeServer,
			"tls":     serveTLS,
			"code":    exitCode,
			"picture": writePicture,
			"pixels":  readPixels,
			"npy":     readNPY,
			"padded":  padTokenizer,
		},
	})
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
}

// exitCode runs a command and expects its exit code: code 3 scry ….
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if (got == want) == neg {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// serveTLS starts another server, which speaks TLS, names it by SCRY_TLS_SERVER
// and writes its certificate, which is its own authority: tls CA-FILE.
func serveTLS(ts *testscript.TestScript, _ bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	fake, served := clienttest.New(), make(chan error, 1)
	go func() {
		served <- fake.Serve(tls.NewListener(lis, &tls.Config{
			Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2"},
		}))
	}()
	ts.Defer(func() {
		fake.Stop()
		<-served
	})
	ts.Setenv("SCRY_TLS_SERVER", lis.Addr().String())
}

// changeServer changes the script's server: server golden-difference 0.5,
// server max-opset 20, server fail METHOD CODE MESSAGE, server drop-uploads BYTES.
func changeServer(ts *testscript.TestScript, _ bool, args []string) {
	fake := ts.Value(fakeKey{}).(*clienttest.Server)
	number := func(s string) float64 {
		f, err := strconv.ParseFloat(s, 64)
		ts.Check(err)
		return f
	}
	switch args[0] {
	case "golden-difference":
		difference := number(args[1])
		fake.Change(func(s *clienttest.Server) { s.GoldenDifference = difference })
	case "max-opset":
		opset := int32(number(args[1]))
		fake.Change(func(s *clienttest.Server) { s.Info.MaxOpset = opset })
	case "fail":
		var code codes.Code
		ts.Check(code.UnmarshalJSON([]byte(strconv.Quote(args[2]))))
		fake.Fail(args[1], status.Error(code, args[3]))
	case "stop":
		fake.Stop()
	case "drop-uploads":
		fake.DropUploads(int64(number(args[1])))
	case "sent": // server sent METHOD COUNT: how many items or bytes came
		sum := 0
		for _, n := range fake.Sizes(args[1]) {
			sum += n
		}
		if fmt.Sprint(sum) != args[2] {
			ts.Fatalf("%s was sent %d, want %s", args[1], sum, args[2])
		}
	default:
		ts.Fatalf("server %s?", args[0])
	}
}

// writePicture writes a red picture: picture FILE WIDTH HEIGHT.
func writePicture(ts *testscript.TestScript, _ bool, args []string) {
	width, err := strconv.Atoi(args[1])
	ts.Check(err)
	height, err := strconv.Atoi(args[2])
	ts.Check(err)
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(picture, picture.Bounds(), image.NewUniform(color.RGBA{R: 255, A: 255}), image.Point{}, draw.Src)
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o777))
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(png.Encode(f, picture))
	ts.Check(f.Close())
}

// readPixels looks at pixels of a PNG: pixels FILE WIDTH HEIGHT X,Y=RRGGBB ….
func readPixels(ts *testscript.TestScript, _ bool, args []string) {
	img, err := png.Decode(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	if size := fmt.Sprintf("%d %d", img.Bounds().Dx(), img.Bounds().Dy()); size != args[1]+" "+args[2] {
		ts.Fatalf("%s is %s", args[0], size)
	}
	for _, arg := range args[3:] {
		var x, y int
		var want string
		_, err := fmt.Sscanf(arg, "%d,%d=%s", &x, &y, &want)
		ts.Check(err)
		r, g, b, _ := img.At(x, y).RGBA()
		if got := fmt.Sprintf("%02x%02x%02x", r>>8, g>>8, b>>8); got != want {
			ts.Fatalf("%s: the pixel at %d,%d is %s, want %s", args[0], x, y, got, want)
		}
	}
}

// readNPY reads a .npy file of float32 as NumPy does, by its header, and compares:
// npy FILE DESCR SHAPE VALUES.
func readNPY(ts *testscript.TestScript, _ bool, args []string) {
	raw := ts.ReadFile(args[0])
	header, ok := strings.CutPrefix(raw, "\x93NUMPY\x01\x00")
	if !ok || len(header) < 2 {
		ts.Fatalf("no .npy file of version 1.0")
	}
	length := int(header[0]) | int(header[1])<<8
	if (10+length)%64 != 0 || header[2+length-1] != '\n' {
		ts.Fatalf("the data begin at %d", 10+length)
	}
	want := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", args[1], args[2])
	if got := strings.TrimSpace(header[2 : 2+length]); got != want {
		ts.Fatalf("header %s, want %s", got, want)
	}
	data := []byte(header[2+length:])
	values := make([]float32, len(data)/4)
	_, err := binary.Decode(data, binary.LittleEndian, values)
	ts.Check(err)
	if got := fmt.Sprint(values); got != args[3] {
		ts.Fatalf("values %s, want %s", got, args[3])
	}
}

// padTokenizer copies a tokenizer.json that then pads to six tokens.
func padTokenizer(ts *testscript.TestScript, _ bool, args []string) {
	padded := strings.Replace(ts.ReadFile(args[0]), `"padding": null`,
		`"padding": {"strategy": {"Fixed": 6}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}`, 1)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(padded), 0o644))
}

// writeGraph writes a small ONNX file: graph FILE [opset=N] [ir=N] [domain=D]
// [op=TYPE] [external=NAME] [input=NAME:TYPE[:AXES]]…, with an output probability.
func writeGraph(ts *testscript.TestScript, _ bool, args []string) {
	g := testGraph{opset: 21, ir: 10}
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "opset":
			_, err := fmt.Sscan(value, &g.opset)
			ts.Check(err)
		case "ir":
			_, err := fmt.Sscan(value, &g.ir)
			ts.Check(err)
		case "domain":
			g.domain = value
		case "op":
			g.op = value
		case "external":
			g.external = value
		case "input":
			g.inputs = append(g.inputs, value)
		default:
			ts.Fatalf("graph %s?", arg)
		}
	}
	file := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(file), 0o755))
	ts.Check(os.WriteFile(file, g.bytes(), 0o644))
}
