// Command load asks a proxy for what a plan says, and reports what came of it as JSON.
//
// It opens its connections, warms up, writes "ready" on standard output and waits for a line on
// standard input, so that whoever measures the proxy's CPU can read it at both ends of the window.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
)

func main() {
	file := flag.String("plan", "", "JSON file")
	flag.Parse()
	plan, err := readPlan(*file)
	if err != nil {
		log.Fatal(err)
	}
	result, err := run(plan)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}

func run(plan *plan) (*report, error) {
	load, err := newLoad(plan)
	if err != nil {
		return nil, err
	}
	switch plan.Mode {
	case "until-ready":
		return load.untilReady()
	case "closed-loop":
		return load.closedLoop()
	case "new-connections":
		return load.newConnections()
	case "bodies":
		return load.bodies()
	case "watches":
		return load.watches()
	}
	return nil, fmt.Errorf("no mode is called %q", plan.Mode)
}

// waitForGo says that the load is ready and waits until the window begins.
func waitForGo() {
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}
