// Package influx keeps history in InfluxDB: 2.x, or 1.8 with its endpoints of
// version 2 (flux-enabled = true).
//
// All that a machine's signals were at one time is one point, so that a round
// of a hundred signals costs about as much as one signal. What is written where
// and how to query it by hand: docs/stores.md.
package influx

import (
	"net/url"
	"strings"
	"time"

	"linetwin/plant"
)

// Config says which database keeps the history.
type Config struct {
	URL string `yaml:"url"` // http://127.0.0.1:8086

	// InfluxDB 2.x.
	Org    string       `yaml:"org"`
	Bucket string       `yaml:"bucket"`
	Token  plant.Secret `yaml:"token"`

	// InfluxDB 1.8, in place of org, bucket and token.
	Database        string       `yaml:"database"`
	RetentionPolicy string       `yaml:"retention_policy"` // empty: the database's default
	User            string       `yaml:"user"`             // empty: without authentication
	Password        plant.Secret `yaml:"password"`

	// MaxAge is how long readings are kept, MinutesMaxAge and HoursMaxAge how long
	// minutes and hours, which lie in buckets of their own where one of the three is
	// given; 0 leaves a bucket as it is, and lets one that is made keep for ever.
	MaxAge        time.Duration `yaml:"max_age"`
	MinutesMaxAge time.Duration `yaml:"minutes_max_age"`
	HoursMaxAge   time.Duration `yaml:"hours_max_age"`
	Shorten       bool          `yaml:"shorten"` // a bucket that keeps longer may be told to drop what is older

	Timeout    time.Duration `yaml:"timeout"`    // of one request; default 10 s
	CA         string        `yaml:"ca"`         // file with the certificate of the authority that signed the server's; empty: the system's
	Quarantine string        `yaml:"quarantine"` // SQLite file that keeps refused readings; default data/quarantine.db
}

const (
	defaultTimeout    = 10 * time.Second
	defaultQuarantine = "data/quarantine.db"
)

// Check fills in defaults and gives all that is wrong with the settings.
func (c *Config) Check() []plant.Fault {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Quarantine == "" {
		c.Quarantine = defaultQuarantine
	}
	var faults []plant.Fault
	fault := func(key, found, allowed string) {
		faults = append(faults, plant.Fault{Key: key, Found: found, Allowed: allowed})
	}
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
		fault("url", redact(c.URL), "http://host:port or https://host:port, without user and query")
	}
	switch {
	case c.Database != "":
		for _, s := range []struct{ key, found string }{{"org", c.Org}, {"bucket", c.Bucket}, {"token", c.Token.String()}} {
			if s.found != "" {
				fault(s.key, s.found, "nothing where database (InfluxDB 1.8) is given")
			}
		}
		if strings.Contains(c.Database, "/") {
			fault("database", c.Database, "a name without /")
		}
		if c.User == "" && c.Password != "" {
			fault("user", "", "the user that the password is of")
		}
		if strings.Contains(c.User, ":") {
			fault("user", c.User, "a name without :")
		}
	default:
		for _, s := range []struct{ key, found, allowed string }{
			{"bucket", c.Bucket, "the bucket (InfluxDB 2.x), or a database (1.8)"},
			{"org", c.Org, "the organization that the bucket is of"},
			{"token", c.Token.String(), "a token that may read and write the bucket"},
		} {
			if s.found == "" {
				fault(s.key, "", s.allowed)
			}
		}
		for _, s := range []struct{ key, found string }{{"retention_policy", c.RetentionPolicy}, {"user", c.User}, {"password", c.Password.String()}} {
			if s.found != "" {
				fault(s.key, s.found, "nothing without database (InfluxDB 1.8)")
			}
		}
	}
	faults = append(faults, c.checkAges()...)
	if c.Timeout < 100*time.Millisecond || c.Timeout > 10*time.Minute {
		fault("timeout", c.Timeout.String(), "100ms to 10m")
	}
	if strings.HasSuffix(c.Quarantine, ".jsonl") {
		fault("quarantine", c.Quarantine, "a SQLite file that LineTwin makes, as data/quarantine.db (it is no JSON any more)")
	}
	return faults
}

// minAge is the least MaxAge: shifts of the last days can always be restated.
const minAge = 24 * time.Hour

func (c *Config) checkAges() []plant.Fault {
	var faults []plant.Fault
	for _, s := range []struct {
		key        string
		age, least time.Duration
	}{{"max_age", c.MaxAge, minAge}, {"minutes_max_age", c.MinutesMaxAge, max(c.MaxAge, minAge)}, {"hours_max_age", c.HoursMaxAge, max(c.MinutesMaxAge, c.MaxAge, minAge)}} {
		if s.age != 0 && s.age < s.least || s.age%time.Second != 0 {
			faults = append(faults, plant.Fault{Key: s.key, Found: s.age.String(), Allowed: "0 (the bucket's own) or whole seconds, at least " + s.least.String() + ", as long as what it is made of"})
		}
	}
	if c.Shorten && !c.apart() {
		faults = append(faults, plant.Fault{Key: "shorten", Found: "true", Allowed: "true only with max_age, minutes_max_age or hours_max_age"})
	}
	return faults
}

// apart tells whether minutes and hours have buckets of their own.
func (c *Config) apart() bool { return c.MaxAge != 0 || c.MinutesMaxAge != 0 || c.HoursMaxAge != 0 }

// redact hides the password of an address that ought to have none.
func redact(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Redacted()
	}
	if strings.Contains(address, "@") {
		return "***"
	}
	return address
}

// place gives what the endpoints of version 2 call the database: organization,
// bucket and token (for 1.8 see "InfluxDB 2.x API compatibility endpoints").
func (c *Config) place() (org, bucket, token string) {
	if c.Database == "" {
		return c.Org, c.Bucket, c.Token.Reveal()
	}
	bucket = c.Database
	if c.RetentionPolicy != "" {
		bucket += "/" + c.RetentionPolicy
	}
	if c.User != "" {
		token = c.User + ":" + c.Password.Reveal()
	}
	return "-", bucket, token
}

// aggregates gives the buckets of minutes and of hours: those of a 1.8 are
// retention policies of the database.
func (c *Config) aggregates() (minutes, hours string) {
	_, bucket, _ := c.place()
	switch {
	case !c.apart():
		return bucket, bucket
	case c.Database == "":
		return bucket + "_minutes", bucket + "_hours"
	case c.RetentionPolicy == "":
		return bucket + "/minutes", bucket + "/hours"
	}
	return bucket + "_minutes", bucket + "_hours"
}
