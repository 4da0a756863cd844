package main

import (
	"errors"
	"strconv"
	"time"

	"quilt-rotate/internal/settings"
)

// A period is a duration as the functions' environment takes it.
type period time.Duration

// UnmarshalText keeps the rule of the setting that the period becomes.
func (p *period) UnmarshalText(text []byte) error {
	d, err := settings.Duration(string(text))
	*p = period(d)
	return err
}

func (p period) String() string { return time.Duration(p).String() }

// A port is one to listen on; 0: any free one.
type port uint16

// UnmarshalText takes what fits into a port's 16 bits.
func (p *port) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil {
		return errors.New("must be a port's number, from 1 to 65535, or 0 for any free one")
	}
	*p = port(n)
	return nil
}
