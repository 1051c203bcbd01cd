package influx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConfigCheck(t *testing.T) {
	two := Config{URL: "http://127.0.0.1:8086", Org: "plant", Bucket: "linetwin", Token: "t0ken"}
	one := Config{URL: "https://db.plant:8086/influx", Database: "linetwin", User: "twin", Password: "t0ken", RetentionPolicy: "long"}
	with := func(c Config, change func(c *Config)) Config { change(&c); return c }
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"2.x", two, ""},
		{"1.8", one, ""},
		{"1.8 without users", Config{URL: "http://127.0.0.1:8086", Database: "linetwin"}, ""},
		{"nothing", Config{}, "url: missing, allowed: http://host:port or https://host:port, without user and query; bucket: missing, allowed: the bucket (InfluxDB 2.x), or a database (1.8); " +
			"org: missing, allowed: the organization that the bucket is of; token: missing, allowed: a token that may read and write the bucket"},
		{"password in the address", with(two, func(c *Config) { c.URL = "http://u:t0ken@h:1" }), "url: found http://u:xxxxx@h:1, allowed: http://host:port or https://host:port, without user and query"},
		{"no scheme", with(two, func(c *Config) { c.URL = "127.0.0.1:8086" }), "url: found 127.0.0.1:8086, allowed: http://host:port or https://host:port, without user and query"},
		{"unix", with(two, func(c *Config) { c.URL = "unix:///x" }), "url: found unix:///x, allowed: http://host:port or https://host:port, without user and query"},
		{"both", with(one, func(c *Config) { c.Token = "t0ken" }), "token: found ***, allowed: nothing where database (InfluxDB 1.8) is given"},
		{"user without database", with(two, func(c *Config) { c.User = "u" }), "user: found u, allowed: nothing without database (InfluxDB 1.8)"},
		{"password without user", with(one, func(c *Config) { c.User = "" }), "user: missing, allowed: the user that the password is of"},
		{"odd names", with(one, func(c *Config) { c.User, c.Database = "a:b", "a/b" }), "database: found a/b, allowed: a name without /; user: found a:b, allowed: a name without :"},
		{"lifetimes", with(two, func(c *Config) {
			c.MaxAge, c.MinutesMaxAge, c.HoursMaxAge, c.Shorten = 24*time.Hour, 48*time.Hour, 48*time.Hour, true
		}), ""},
		{"lifetime of hours", with(one, func(c *Config) { c.HoursMaxAge = 9600 * time.Hour }), ""},
		{"too short lifetimes", with(two, func(c *Config) { c.MaxAge, c.MinutesMaxAge, c.HoursMaxAge = time.Hour, 2*time.Hour, 25*time.Hour+1 }),
			"max_age: found 1h0m0s, allowed: 0 (the bucket's own) or whole seconds, at least 24h0m0s, as long as what it is made of; " +
				"minutes_max_age: found 2h0m0s, allowed: 0 (the bucket's own) or whole seconds, at least 24h0m0s, as long as what it is made of; " +
				"hours_max_age: found 25h0m0.000000001s, allowed: 0 (the bucket's own) or whole seconds, at least 24h0m0s, as long as what it is made of"},
		{"hours shorter than minutes", with(two, func(c *Config) { c.MinutesMaxAge, c.HoursMaxAge = 72*time.Hour, 48*time.Hour }),
			"hours_max_age: found 48h0m0s, allowed: 0 (the bucket's own) or whole seconds, at least 72h0m0s, as long as what it is made of"},
		{"shorten what", with(two, func(c *Config) { c.Shorten = true }), "shorten: found true, allowed: true only with max_age, minutes_max_age or hours_max_age"},
		{"timeout", with(two, func(c *Config) { c.Timeout = time.Millisecond }), "timeout: found 1ms, allowed: 100ms to 10m"},
	} {
		var got []string
		for _, f := range c.cfg.Check() {
			got = append(got, f.String())
		}
		s := strings.Join(got, "; ")
		if s != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, s, c.want)
		}
		if strings.Contains(s, "t0ken") {
			t.Errorf("%s: tells the secret: %s", c.name, s)
		}
	}
	for _, c := range []struct {
		cfg  Config
		want [2]string
	}{
		{two, [2]string{"linetwin", "linetwin"}}, {one, [2]string{"linetwin/long", "linetwin/long"}},
		{with(two, func(c *Config) { c.MaxAge = 1 }), [2]string{"linetwin_minutes", "linetwin_hours"}},
		{with(one, func(c *Config) { c.MaxAge = 1 }), [2]string{"linetwin/long_minutes", "linetwin/long_hours"}},
		{with(one, func(c *Config) { c.MaxAge, c.RetentionPolicy = 1, "" }), [2]string{"linetwin/minutes", "linetwin/hours"}},
	} {
		if minutes, hours := c.cfg.aggregates(); minutes != c.want[0] || hours != c.want[1] {
			t.Errorf("%+v: minutes in %s, hours in %s", c.cfg, minutes, hours)
		}
	}
	if org, bucket, token := one.place(); org != "-" || bucket != "linetwin/long" || token != "twin:t0ken" {
		t.Errorf("1.8 is org %q, bucket %q, token %q", org, bucket, token)
	}
}

func TestSecretsAreNotTold(t *testing.T) {
	c := Config{URL: "http://127.0.0.1:1", Org: "o", Bucket: "b", Token: "t0ken", Password: "t0ken"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("config", "config", c)
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprintf("%v %+v %#v %s %s", c, c, c, text, log.String()); strings.Contains(all, "t0ken") {
		t.Error(all)
	}
}

func TestOpenFails(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for ca, want := range map[string]string{"/absent/ca.pem": "read ca", empty: "no certificate in PEM"} {
		if _, err := Open(Config{URL: "http://127.0.0.1:1", Database: "d", CA: ca}, quiet()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ca %s: %v, want %q", ca, err, want)
		}
	}
	if _, err := Open(Config{}, quiet()); err == nil || !strings.Contains(err.Error(), "url: missing") {
		t.Errorf("no settings: %v", err)
	}
}
