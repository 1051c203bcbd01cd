// Package broker is the embedded MQTT 3.1.1 broker: nats-server with its MQTT
// listener and nothing else listening.
package broker

import (
	"context"
	"errors"
	"log/slog"

	"linetwin/plant"
)

// Config is the section "broker.embedded" of a twin's settings.
type Config struct {
	Listen string `yaml:"listen"` // host:port; default 127.0.0.1:1883
	Folder string `yaml:"folder"` // retained messages and sessions
	Users  []User `yaml:"users"`
	TLS    TLS    `yaml:"tls"`
}

// User may connect.
type User struct {
	Name     string       `yaml:"name"`
	Password plant.Secret `yaml:"password"`
	Gateway  string       `yaml:"gateway"` // area/gateway: may speak only as this one
}

// TLS names the listener's files, in PEM.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	CA   string `yaml:"ca"` // client certificates are asked for and checked
}

// Broker is an embedded broker.
type Broker struct{}

// Check fills the defaults and tells what is wrong.
func (c *Config) Check() []plant.Fault { return nil }

// New gives a Broker; it opens nothing.
func New(cfg Config, log *slog.Logger) (*Broker, error) { return nil, errors.New("not yet") }

// Run serves until ctx ends.
func (b *Broker) Run(ctx context.Context) error { return ctx.Err() }

// Addr is where it listens, once Ready is closed.
func (b *Broker) Addr() string { return "" }

// Ready is closed when clients can connect.
func (b *Broker) Ready() <-chan struct{} { return nil }
