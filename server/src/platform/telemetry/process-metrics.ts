import { readdirSync } from 'node:fs'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { Counter, Gauge, type Registry } from 'prom-client'

/** The event loop is asked this often whether it has time. */
const TICK_MS = 10

type Reading = [kind: 'gauge' | 'counter', name: string, help: string, read: () => number]

/**
 * What the process is made of: CPU, memory, files, event loop; read when somebody looks.
 *
 * prom-client's own set is not used: it observes garbage collections, which took some 200 µs for each, close to a
 * tenth of the time of whatever allocates (ADR 0016).
 */
export function measureProcess(registry: Registry): Disposable {
  const delay = monitorEventLoopDelay({ resolution: TICK_MS })
  delay.enable()
  const readings: Reading[] = [
    ['gauge', 'process_start_time_seconds', 'When it was started.', () => performance.timeOrigin / 1000],
    ['counter', 'process_cpu_seconds_total', 'CPU time, of all threads.', cpuSeconds],
    ['gauge', 'process_resident_memory_bytes', 'Memory that it holds.', () => process.memoryUsage.rss()],
    ['gauge', 'process_open_fds', 'Open files and connections.', openFiles],
    [
      'gauge',
      'nodejs_heap_used_bytes',
      'Memory of JavaScript, garbage included.',
      () => process.memoryUsage().heapUsed,
    ],
    [
      'counter',
      'nodejs_eventloop_active_seconds_total',
      'Time in which the event loop did not wait for work.',
      () => performance.eventLoopUtilization().active / 1000,
    ],
    [
      'gauge',
      'nodejs_eventloop_delay_max_seconds',
      'Longest time for which the event loop was held up since the last scrape.',
      () => {
        const longestMs = delay.max / 1e6 - TICK_MS
        delay.reset()
        return Math.max(0, longestMs) / 1000
      },
    ],
  ]
  for (const reading of readings) register(registry, reading)
  return { [Symbol.dispose]: () => void delay.disable() }
}

function register(registry: Registry, [kind, name, help, read]: Reading): void {
  const Metric = kind === 'gauge' ? Gauge : Counter
  new Metric({
    name: `pebbles_${name}`,
    help,
    registers: [registry],
    collect(this: Gauge | Counter) {
      this.reset()
      this.inc(read())
    },
  })
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** NaN where that is not told (beyond Linux), and when there are so many that not even this one can be opened. */
function openFiles(): number {
  try {
    // One of them is this look.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return Number.NaN
  }
}
