import assert from 'node:assert/strict'
import type { TestServer } from './server.ts'

/** Value by series, such as `pebbles_updates_total{channel="http",result="applied"}`. */
export type Samples = Record<string, number>

/** Reads Prometheus' text format, and refuses what is not that. */
export function readSamples(text: string): Samples {
  const samples: Samples = {}
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# HELP ') || line.startsWith('# TYPE ')) continue
    const [, series, value] =
      /^([a-z0-9_]+(?:\{.*\})?) (\S+)$/.exec(line) ?? assert.fail(`no sample: ${line}`)
    assert.ok(!(series! in samples), `twice: ${series}`)
    samples[series!] = Number(value)
  }
  return samples
}

/** What a server tells Prometheus. */
export async function scrape({ url }: Pick<TestServer, 'url'>): Promise<Samples> {
  const response = await fetch(`${url}/metrics`)
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  return readSamples(await response.text())
}
