package deploy_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// patience is how long anything may take on a busy machine.
const patience = 30 * time.Second

// mosquitto runs start.sh with the shipped settings at paths of the test, and
// gives the broker's URL and the folder of passwords.
func mosquitto(t *testing.T) (url, passwords string) {
	t.Helper()
	binary := program(t, "mosquitto")
	program(t, "mosquitto_passwd")
	folder, made := t.TempDir(), secrets(t)
	write(t, filepath.Join(made, "mqtt", "edge-2"), "second", 0o600)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	listener.Close()

	write(t, filepath.Join(folder, "acl"), read(t, "mosquitto/acl"), 0o644)
	config := strings.NewReplacer("/mosquitto/data/passwords", folder+"/passwords", "/mosquitto/config/acl", folder+"/acl",
		"\nlistener 1883", "\nlistener "+port+" 127.0.0.1").Replace(read(t, "mosquitto/mosquitto.conf"))
	// Mosquitto gives up root for a user that cannot look into a test's folder.
	write(t, filepath.Join(folder, "mosquitto.conf"), config+"\nuser root\n", 0o644)

	cmd := exec.Command("./mosquitto/start.sh", folder+"/mosquitto.conf", made+"/mqtt", folder+"/passwords")
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":"+filepath.Dir(binary))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Log(out.String())
		}
	})
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			return "tcp://127.0.0.1:" + port, made + "/mqtt"
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("mosquitto ended: %v\n%s", err, out.String())
		default:
		}
		if time.Since(start) > patience {
			t.Fatal("mosquitto does not listen")
		}
	}
}

func connect(t *testing.T, url, user, password string) (mqtt.Client, error) {
	t.Helper()
	o := mqtt.NewClientOptions().AddBroker(url).SetClientID(t.Name() + user).SetUsername(user).SetPassword(password).
		SetAutoReconnect(false).SetConnectTimeout(patience)
	c := mqtt.NewClient(o)
	token := c.Connect()
	if !token.WaitTimeout(patience) {
		return nil, fmt.Errorf("no answer")
	}
	if token.Error() == nil {
		t.Cleanup(func() { c.Disconnect(0) })
	}
	return c, token.Error()
}

// TestMosquitto: only known users come in, and each gateway speaks for itself
// alone.
func TestMosquitto(t *testing.T) {
	url, folder := mosquitto(t)
	if _, err := connect(t, url, "", ""); err == nil {
		t.Error("somebody without a name came in")
	}
	if _, err := connect(t, url, "edge-1", "wrong"); err == nil {
		t.Error("a wrong password came in")
	}
	clients := map[string]mqtt.Client{}
	for _, user := range []string{"twin", "edge-1", "edge-2"} {
		c, err := connect(t, url, user, read(t, filepath.Join(folder, user)))
		if err != nil {
			t.Fatal(user, err)
		}
		clients[user] = c
	}
	heard := make(chan string, 100)
	hear := func(user, filter string) {
		token := clients[user].Subscribe(filter, 1, func(_ mqtt.Client, m mqtt.Message) { heard <- user + " heard " + m.Topic() })
		if !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatal(user, filter, token.Error())
		}
	}
	hear("twin", "spBv1.0/+/DDATA/#")
	hear("twin", "spBv1.0/STATE/linetwin")
	hear("edge-1", "spBv1.0/assembly/NCMD/edge-1")
	hear("edge-1", "spBv1.0/+/DDATA/#") // Mosquitto takes it, and brings nothing
	hear("edge-2", "spBv1.0/STATE/linetwin")
	hear("edge-2", "linetwin/v1/#")
	for _, m := range []struct{ user, topic string }{
		{"edge-1", "spBv1.0/assembly/DDATA/edge-2/press"}, // not its own
		{"edge-1", "spBv1.0/assembly/NCMD/edge-2"},
		{"edge-2", "spBv1.0/STATE/linetwin"},
		{"edge-2", "spBv1.0/assembly/NCMD/edge-1"},
		{"edge-1", "linetwin/v1/assembly/line-a/state"},
		{"twin", "spBv1.0/assembly/DDATA/edge-1/press"},
		{"edge-1", "spBv1.0/assembly/DDATA/edge-1/press"}, // from here on it is right
		{"twin", "spBv1.0/assembly/NCMD/edge-1"},
		{"twin", "spBv1.0/STATE/linetwin"},
		{"twin", "linetwin/v1/assembly/line-a/oee/shift"},
	} {
		token := clients[m.user].Publish(m.topic, 1, false, "x")
		if !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatal(m, token.Error())
		}
	}
	want := map[string]bool{
		"twin heard spBv1.0/assembly/DDATA/edge-1/press":     true,
		"edge-1 heard spBv1.0/assembly/NCMD/edge-1":          true,
		"twin heard spBv1.0/STATE/linetwin":                  true,
		"edge-2 heard spBv1.0/STATE/linetwin":                true,
		"edge-2 heard linetwin/v1/assembly/line-a/oee/shift": true,
	}
	for len(want) > 0 {
		select {
		case got := <-heard:
			if !want[got] {
				t.Errorf("%s, which the rules should forbid, or twice", got)
			}
			delete(want, got)
		case <-time.After(patience):
			t.Fatalf("not heard: %v", want)
		}
	}
}
