package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/scry-ml/scry/pixel"
	"github.com/scry-ml/scry/tokenizer"
)

const (
	// referencePython is what scripts/differential/install.sh makes.
	referencePython = ".bench/reference/bin/python"
	referenceText   = "models/sentiment/tokenizer.json"
)

// references compares the tokeniser with Hugging Face tokenizers and the decoder
// with Pillow, each on one thread, on the same texts and pictures.
func references(ctx context.Context, cfg *config, out *report) error {
	if _, err := os.Stat(referencePython); err != nil {
		out.skip("tokeniser and decoder", "there is no %s (scripts/differential/install.sh)", referencePython)
		return nil
	}
	dir, err := os.MkdirTemp("", "scry-references")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := tokeniser(ctx, cfg, out, dir); err != nil {
		return fmt.Errorf("tokeniser: %w", err)
	}
	return decoder(ctx, cfg, out, dir)
}

// tokeniser encodes texts of 3 to 40 words, half of them Russian.
func tokeniser(ctx context.Context, cfg *config, out *report, dir string) error {
	file, err := os.Open(referenceText)
	if err != nil {
		out.skip("tokeniser", "there is no %s (make setup)", referenceText)
		return nil
	}
	defer file.Close()
	tok, err := tokenizer.Load(file)
	if err != nil {
		return err
	}
	list, err := madeTexts(2000)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "texts.json")
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		return err
	}
	var ids []int32
	plain := tokenizer.Options{NoTruncation: true, NoPadding: true}
	l, err := beside(ctx, cfg, []string{"texts", referenceText, path}, func(i int) error {
		ids, err = tok.AppendIDs(ids[:0], list[i%len(list)], plain)
		return err
	})
	if err != nil {
		return err
	}
	l.work, l.beside = "tokeniser, one thread, texts", "tokenizers "+l.beside
	out.add(l)
	return nil
}

// madeTexts draws texts of 3 to 40 words that the documentation and the starter
// models' manifests hold, English and Russian in turn: so many that no cache of
// words answers for the tokeniser.
func madeTexts(n int) ([]string, error) {
	var words [2][]string
	for _, pattern := range []string{"docs/*.md", "models/*/*.md", "models/*/bundle.yaml", "scripts/demo/*.txt"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			for word := range strings.FieldsSeq(string(raw)) {
				if strings.ContainsFunc(word, func(r rune) bool { return unicode.Is(unicode.Cyrillic, r) }) {
					words[1] = append(words[1], word)
				} else if strings.ContainsFunc(word, unicode.IsLetter) {
					words[0] = append(words[0], word)
				}
			}
		}
	}
	if len(words[0]) == 0 || len(words[1]) == 0 {
		return nil, fmt.Errorf("%d English and %d Russian words", len(words[0]), len(words[1]))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	texts := make([]string, n)
	for i := range texts {
		from := words[i%2]
		text := make([]string, 3+rng.IntN(38))
		for k := range text {
			text[k] = from[rng.IntN(len(from))]
		}
		texts[i] = strings.Join(text, " ")
	}
	return texts, nil
}

// decoder brings photographs to 224 × 224 pixels: JPEG files, as they come.
func decoder(ctx context.Context, cfg *config, out *report, dir string) error {
	pictures := filepath.Join(dir, "pictures")
	if err := os.Mkdir(pictures, 0o755); err != nil {
		return err
	}
	names, err := filepath.Glob("scripts/demo/*.jpg")
	if err != nil || len(names) == 0 {
		return fmt.Errorf("no pictures: %w", err)
	}
	files := make([][]byte, len(names))
	for i, name := range names {
		if files[i], err = os.ReadFile(name); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(pictures, filepath.Base(name)), files[i], 0o644); err != nil {
			return err
		}
	}
	prepare := pixel.Preprocess{Width: 224, Height: 224, Filter: pixel.Bilinear}
	l, err := beside(ctx, cfg, []string{"images", pictures}, func(i int) error {
		_, _, err := prepare.Tensor(ctx, files[i%len(files)], pixel.Limits{})
		return err
	})
	if err != nil {
		return fmt.Errorf("decoder: %w", err)
	}
	l.work, l.beside = "decoder and resize, one thread, JPEG", "Pillow "+l.beside
	out.add(l)
	return nil
}

// beside runs rounds of work here and of the Python reference in turn.
func beside(ctx context.Context, cfg *config, arguments []string, work func(i int) error) (_ line, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	command := exec.CommandContext(ctx, referencePython, append([]string{"scripts/differential/rate.py"}, arguments...)...)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return line{}, err
	}
	pipe, err := command.StdoutPipe()
	if err != nil {
		return line{}, err
	}
	if err := command.Start(); err != nil {
		return line{}, err
	}
	defer func() { // the end of its input ends it
		_ = in.Close()
		if waited := command.Wait(); err == nil {
			err = waited
		}
	}()
	answers := bufio.NewReader(pipe)
	if ready, err := answers.ReadString('\n'); err != nil || ready != "ready\n" {
		return line{}, fmt.Errorf("the reference does not start: %q %w", ready, err)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the collector of garbage on it, too
	var here, there []float64
	var r ratios
	for k := range cfg.rounds + 1 { // the first does not count
		length := cfg.round / 2
		rate, err := alone(ctx, length, work)
		if err != nil {
			return line{}, err
		}
		if _, err := io.WriteString(in, strconv.FormatFloat(length.Seconds(), 'f', -1, 64)+"\n"); err != nil {
			return line{}, err
		}
		text, err := answers.ReadString('\n')
		if err != nil {
			return line{}, err
		}
		other, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return line{}, err
		}
		if k > 0 {
			here, there, r = append(here, rate), append(there, other), append(r, rate/other)
		}
	}
	return line{where: "this process", served: fmt.Sprintf("%.0f/s", median(here)), beside: fmt.Sprintf("%.0f/s", median(there)), ratio: r.String()}, nil
}

// alone returns how often a second work is done by this goroutine.
func alone(ctx context.Context, length time.Duration, work func(i int) error) (float64, error) {
	start, n := time.Now(), 0
	for time.Since(start) < length {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := work(n); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds(), nil
}
