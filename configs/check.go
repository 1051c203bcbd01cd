package configs

import (
	"fmt"
	"os"

	"go.yaml.in/yaml/v4"
)

// Kinds of settings file.
const (
	KindGateway = "gateway"
	KindTwin    = "twin"
	KindDemo    = "demo"
)

// CheckFile reads a settings file of any kind and gives its kind; the error,
// if the file is wrong, is Problems.
func CheckFile(file string) (kind string, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read settings: %w", err)
	}
	root, err := document(file, raw)
	if err != nil {
		return "", err
	}
	switch kind = kindOf(root); kind {
	case KindGateway:
		return kind, parse(file, raw, &Gateway{})
	case KindDemo:
		return kind, parse(file, raw, &Demo{})
	}
	return kind, parse(file, raw, &Twin{})
}

// kindOf tells a file's kind by the keys that only one kind has.
func kindOf(root *yaml.Node) string {
	for i := 0; i+1 < len(root.Content); i += 2 {
		switch root.Content[i].Value {
		case "gateway", "devices", "wire", "buffer":
			return KindGateway
		case "gateways", "simulator":
			return KindDemo
		}
	}
	return KindTwin
}
