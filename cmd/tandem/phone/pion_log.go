package phone

import (
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// pionLog gives pion's loggers to the phone's, all at debug level: what pion warns of is often what a test provokes.
type pionLog struct{ log *slog.Logger }

func (l pionLog) NewLogger(scope string) logging.LeveledLogger {
	return pionScope{l.log.With("pion", scope)}
}

type pionScope struct{ log *slog.Logger }

func (l pionScope) Trace(string)                 {}
func (l pionScope) Tracef(string, ...any)        {}
func (l pionScope) Debug(string)                 {}
func (l pionScope) Debugf(string, ...any)        {}
func (l pionScope) Info(msg string)              { l.log.Debug(msg) }
func (l pionScope) Infof(f string, args ...any)  { l.log.Debug(fmt.Sprintf(f, args...)) }
func (l pionScope) Warn(msg string)              { l.log.Debug(msg) }
func (l pionScope) Warnf(f string, args ...any)  { l.log.Debug(fmt.Sprintf(f, args...)) }
func (l pionScope) Error(msg string)             { l.log.Debug(msg) }
func (l pionScope) Errorf(f string, args ...any) { l.log.Debug(fmt.Sprintf(f, args...)) }
