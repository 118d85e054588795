package funchost

import "context"

// listeners builds the loop of every enabled timer and queue function.
func (h *Host) listeners() ([]func(fetch, work context.Context), error) {
	var all []func(fetch, work context.Context)
	for _, f := range h.functions {
		if f.Err != nil || f.Disabled {
			continue
		}
		switch f.Trigger {
		case TriggerTimer:
			l := &timerListener{function: f.Name, schedule: f.schedule, runOnStartup: f.trigger.RunOnStartup, log: h.log}
			if h.monitored(f) {
				l.store = h.status
			}
			l.invoke = func(ctx context.Context, status *scheduleStatus, pastDue bool) error {
				return h.invokeTimer(ctx, f, false, status, pastDue)
			}
			all = append(all, l.listen)
		case TriggerQueue:
			l := newQueueListener(f.Name, h.config.queues, h.timing)
			queue, key, err := h.openQueue(f.trigger.Connection, f.trigger.QueueName)
			if err != nil {
				return nil, err
			}
			if h.wake[key] == nil {
				h.wake[key] = make(chan struct{}, 1)
			}
			l.queue, l.wake = queue, h.wake[key]
			if name, ok := poisonName(f.trigger.QueueName); ok {
				if l.poison, _, err = h.openQueue(f.trigger.Connection, name); err != nil {
					return nil, err
				}
			}
			l.faults, l.log, l.emit = h.opts.Faults, h.log, h.emit
			l.invoke = func(ctx context.Context, inv *Invocation, m message) error { return h.invokeQueue(ctx, f, inv, m) }
			all = append(all, l.listen)
		}
	}
	return all, nil
}

// monitored tells whether the host keeps a status for a timer.
func (h *Host) monitored(f *Function) bool {
	use := f.trigger.UseMonitor
	return (use == nil || *use) && !f.schedule.subMinute(h.started)
}

// openQueue returns a queue and a key that tells it from all others.
func (h *Host) openQueue(connection, name string) (messageQueue, string, error) {
	text, err := h.settings.connection(connection)
	if err != nil {
		return nil, "", err
	}
	queue, err := openQueue(text, name)
	if err != nil {
		return nil, "", err
	}
	return queue, queue.client.URL(), nil
}
