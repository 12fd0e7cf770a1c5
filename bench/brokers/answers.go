package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
)

// answer what a parent asks on standard input until that ends: "memory" is how many bytes
// are in use after a collection, "heap FILE" writes what they are, "profile FILE" begins a
// profile of the processor and "profiled" ends it.
func answer() error {
	in := bufio.NewReader(os.Stdin)
	var profile *os.File
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch verb, operand, _ := strings.Cut(strings.TrimSpace(line), " "); verb {
		case "memory":
			runtime.GC()
			runtime.GC() // what pools held is gone after the second
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Println(m.HeapInuse + m.StackInuse)
		case "heap":
			if err := writeHeap(operand); err != nil {
				return err
			}
			fmt.Println("ok")
		case "profile":
			if profile, err = os.Create(operand); err == nil {
				err = pprof.StartCPUProfile(profile)
			}
			if err != nil {
				return err
			}
			fmt.Println("ok")
		case "profiled":
			pprof.StopCPUProfile()
			if err := profile.Close(); err != nil {
				return err
			}
			fmt.Println("ok")
		default:
			return fmt.Errorf("asked for %q", verb)
		}
	}
}

// writeHeap writes a profile of what is in use.
func writeHeap(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := pprof.Lookup("heap").WriteTo(f, 0); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}
