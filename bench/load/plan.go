package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"
)

// plan is what the benchmark wants done.
type plan struct {
	Mode    string `json:"mode"`
	Address string `json:"address"`
	// Authority is a PEM file; empty for plain HTTP.
	Authority  string      `json:"authority"`
	ServerName string      `json:"server_name"`
	Headers    [][2]string `json:"headers"`
	Identities []identity  `json:"identities"`
	Targets    []string    `json:"targets"`
	// Credentials is whether tokens are sent.
	Credentials bool `json:"credentials"`
	// Certificates is whether device certificates are presented.
	Certificates bool `json:"certificates"`
	// CheckUser is whether each answer must name the identity that asked.
	CheckUser bool `json:"check_user"`
	// CheckTarget is whether each answer must name the target that was asked for.
	CheckTarget bool `json:"check_target"`
	// Connections that are open, shared out over as many workers as Concurrency says.
	Connections int `json:"connections"`
	Concurrency int `json:"concurrency"`
	// RotateTokens lets every connection speak for every identity.
	RotateTokens bool `json:"rotate_tokens"`
	// Seed says which of all random orders it is.
	Seed uint64 `json:"seed"`
	// Warmup requests come before the window.
	Warmup int `json:"warmup"`
	// Once asks for each identity and target once, and ends.
	Once bool `json:"once"`
	// Seconds of the window, where it does not end by itself.
	Seconds float64 `json:"seconds"`
	// Count of bodies or events.
	Count int `json:"count"`
	// UploadBytes makes each request of "bodies" a POST of so many.
	UploadBytes int `json:"upload_bytes"`
	// Control is the upstream's address for the benchmark itself.
	Control string `json:"control"`
}

// identity is one user on one device at one address.
type identity struct {
	User        string `json:"user"`
	Token       string `json:"token"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	Source      string `json:"source"`
}

func readPlan(file string) (*plan, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var read plan
	if err := json.Unmarshal(text, &read); err != nil {
		return nil, err
	}
	if len(read.Identities) == 0 || len(read.Targets) == 0 {
		return nil, fmt.Errorf("%s names no identities or no targets", file)
	}
	return &read, nil
}

// load is a plan with everything read that it names.
type load struct {
	*plan
	tls []*tls.Config
}

func newLoad(plan *plan) (*load, error) {
	made := &load{plan: plan}
	if plan.Authority == "" {
		return made, nil
	}
	pem, err := os.ReadFile(plan.Authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", plan.Authority)
	}
	for _, each := range plan.Identities {
		config := &tls.Config{
			RootCAs:    roots,
			ServerName: plan.ServerName,
			MinVersion: tls.VersionTLS13,
			NextProtos: []string{"http/1.1"},
		}
		if plan.Certificates {
			pair, err := tls.LoadX509KeyPair(each.Certificate, each.Key)
			if err != nil {
				return nil, err
			}
			config.Certificates = []tls.Certificate{pair}
		}
		made.tls = append(made.tls, config)
	}
	return made, nil
}

// dial opens a connection for an identity, from its own address.
func (l *load) dial(who int) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 20 * time.Second}
	if source := l.Identities[who].Source; source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	plain, err := dialer.Dial("tcp", l.Address)
	if err != nil {
		return nil, err
	}
	if l.Authority == "" {
		return plain, nil
	}
	secure := tls.Client(plain, l.tls[who])
	_ = plain.SetDeadline(time.Now().Add(20 * time.Second))
	if err := secure.Handshake(); err != nil {
		plain.Close()
		return nil, err
	}
	_ = plain.SetDeadline(time.Time{})
	return secure, nil
}
