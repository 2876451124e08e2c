import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { pino } from 'pino'
import { Counter, Histogram, Registry } from 'prom-client'
import { startCloudWatchExport } from '../../src/platform/cloudwatch/export.ts'
import { scrape } from '../helpers/metrics.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { startServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'

const SECRET = 'not-a-secret'
process.env.AWS_ACCESS_KEY_ID ??= 'pebbles-test'
process.env.AWS_SECRET_ACCESS_KEY ??= SECRET

/** What was logged. */
const told: string[] = []
const log = pino({ level: 'warn' }, { write: (line) => void told.push(line) })
/** As AWS may answer who signs wrongly: with the request, and so with the token of temporary credentials. */
const REFUSAL = {
  __type: 'com.amazon.coral.service#SignatureDoesNotMatch',
  message: 'The signature does not match.\n\nThe Canonical String: x-amz-security-token:IQoJb3JpZ2lu',
}

interface Datum {
  MetricName: string
  Dimensions: { Name: string; Value: string }[]
  Unit: string
  Value?: number
  StatisticValues?: { SampleCount: number; Sum: number; Minimum: number; Maximum: number }
}

type Answering = 'takes it' | 'refuses it' | 'hangs up' | 'takes it and hangs up'

/**
 * Where CloudWatch would be: the outside of the SDK. It takes what is signed, as AWS describes signatures of version 4,
 * and answers as it is told to.
 */
async function startReceiver(scope: Scope) {
  const receiver = {
    url: '',
    answering: 'takes it' as Answering,
    taken: [] as { Namespace: string; MetricData: Datum[] }[],
    attempts: 0,
  }
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>))
    receiver.attempts++
    assert.equal(request.headers['x-amz-target'], 'GraniteServiceVersion20100801.PutMetricData')
    const isSigned =
      signatureOf(request, body) === /Signature=(\w+)/.exec(request.headers.authorization!)?.[1]
    if (!isSigned || receiver.answering === 'refuses it') {
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' })
      response.end(JSON.stringify(REFUSAL))
      return
    }
    if (receiver.answering !== 'hangs up') {
      const plain = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
      receiver.taken.push(JSON.parse(plain.toString()))
    }
    if (receiver.answering !== 'takes it') {
      request.socket.destroy()
      return
    }
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' })
    response.end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(scope, () => server.close())
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return receiver
}

function signatureOf({ headers, method, url }: IncomingMessage, body: Buffer): string {
  const [, day, region, service, names] =
    /Credential=[^/]+\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+)/.exec(
      headers.authorization!,
    )!
  const sha = (data: string | Buffer) => createHash('sha256').update(data).digest('hex')
  const signed = names!.split(';')
  for (const needed of ['host', 'x-amz-date']) assert.ok(signed.includes(needed))
  const canonical = [
    method,
    url,
    '',
    ...signed.map((name) => `${name}:${headers[name]}`),
    '',
    names,
    sha(body),
  ].join('\n')
  const scope = `${day}/${region}/${service}/aws4_request`
  const hmac = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest()
  const key = [day!, region!, service!, 'aws4_request'].reduce<Buffer | string>(
    hmac,
    `AWS4${process.env.AWS_SECRET_ACCESS_KEY}`,
  )
  const text = `AWS4-HMAC-SHA256\n${headers['x-amz-date']}\n${scope}\n${sha(canonical)}`
  return hmac(key, text).toString('hex')
}

async function startExport(t: Scope) {
  const receiver = await startReceiver(t)
  const registry = new Registry()
  const labelNames = ['writer', 'folder']
  const writes = new Counter({ name: 'writes_total', help: '-', labelNames, registers: [registry] })
  const times = new Histogram({
    name: 'times',
    help: '-',
    labelNames,
    buckets: [0.1, 0.2, 1],
    registers: [registry],
  })
  const metrics = [
    { name: 's3.writes', source: 'writes_total', dimensions: ['writer'] },
    { name: 's3.write.duration', source: 'times', dimensions: ['writer'] },
    { name: 'nobody.measures', source: 'not_there', dimensions: [] },
  ]
  const exporting = startCloudWatchExport({
    ...{ registry, metrics, log, namespace: 'PageviewPipeline' },
    ...{ region: 'eu-west-1', endpoint: receiver.url },
  })
  let isOpen = true
  const close = async () => {
    if (isOpen) await exporting[Symbol.asyncDispose]()
    isOpen = false
  }
  atEnd(t, close)
  const sent = (name: string, writer: string) =>
    receiver.taken
      .flatMap(({ MetricData }) => MetricData)
      .filter((datum) => datum.MetricName === name && datum.Dimensions[0]?.Value === writer)
  const writesOf = (writer: string) => sent('s3.writes', writer).map(({ Value }) => Value)
  return { receiver, writes, times, send: () => exporting.send(), close, sent, writesOf }
}

describe('export to CloudWatch', () => {
  test('S8 counters are sent as what came since the last time, labels as dimensions, in signed requests', async (t) => {
    const { receiver, writes, send, writesOf, sent } = await startExport(t)
    writes.inc({ writer: 'raw', folder: 'a' }, 2)
    writes.inc({ writer: 'raw', folder: 'b' }, 3)
    writes.inc({ writer: 'late' }, 0)
    await send()
    writes.inc({ writer: 'raw', folder: 'b' })
    await send()
    assert.deepEqual(writesOf('raw'), [5, 1])
    // To an alarm nothing is not the same as nothing known.
    assert.deepEqual(writesOf('late'), [0, 0])
    assert.equal(receiver.taken[0]!.Namespace, 'PageviewPipeline')
    const [{ Dimensions, Unit }] = sent('s3.writes', 'raw') as [Datum]
    assert.deepEqual([Dimensions, Unit], [[{ Name: 'writer', Value: 'raw' }], 'Count'])
  })

  test('S8 times are sent with their number and sum, and extremes that no time goes beyond', async (t) => {
    const { times, send, sent } = await startExport(t)
    const observe = (...seconds: number[]) => {
      for (const each of seconds) times.observe({ writer: 'raw' }, each)
      return send()
    }
    await observe(0.15)
    await send()
    await observe(0.05, 0.5, 0.5, 7)
    const statistics = sent('s3.write.duration', 'raw').map(({ StatisticValues }) => StatisticValues!)
    assert.equal(statistics.length, 2)
    assert.deepEqual(statistics[0], { SampleCount: 1, Sum: 150, Minimum: 150, Maximum: 150 })
    assert.equal(statistics[1]!.SampleCount, 4)
    assert.ok(Math.abs(statistics[1]!.Sum - 8050) < 1e-6)
    assert.ok(statistics[1]!.Minimum <= 50 && statistics[1]!.Maximum >= 7000)
  })

  test('S8 what CloudWatch did not take is carried over whole, and sent once; its reason is told, not the request', async (t) => {
    told.length = 0
    const { receiver, writes, times, send, writesOf, sent } = await startExport(t)
    for (const answering of ['refuses it', 'hangs up'] as const) {
      receiver.answering = answering
      writes.inc({ writer: 'raw' }, 10)
      times.observe({ writer: 'raw' }, 0.5)
      await send()
    }
    assert.deepEqual([receiver.attempts, receiver.taken.length], [2, 0])
    assert.match(told.join(''), /SignatureDoesNotMatch: The signature does not match\./)
    assert.doesNotMatch(told.join(''), /IQoJ/)
    receiver.answering = 'takes it'
    writes.inc({ writer: 'raw' })
    await send()
    await send()
    assert.deepEqual(writesOf('raw'), [21, 0])
    assert.deepEqual(
      sent('s3.write.duration', 'raw').map(({ StatisticValues }) => StatisticValues!.Sum),
      [1000],
    )
  })

  test('S8 an export whose answer gets lost is sent again: CloudWatch cannot tell it, and none is lost', async (t) => {
    const { receiver, writes, send, writesOf } = await startExport(t)
    receiver.answering = 'takes it and hangs up'
    writes.inc({ writer: 'raw' }, 4)
    await send()
    receiver.answering = 'takes it'
    await send()
    assert.deepEqual(writesOf('raw'), [4, 4])
  })

  test('S8 what was counted when a service ends is sent before it is gone', async (t) => {
    const { writes, close, writesOf } = await startExport(t)
    writes.inc({ writer: 'raw' }, 3)
    await close()
    assert.deepEqual(writesOf('raw'), [3])
  })

  test('S8 a service tells CloudWatch of the page views that it took in, each once, and of the objects', async (t) => {
    const receiver = await startReceiver(t)
    const server = await startServer(t, {
      PEBBLES_ROLES: 'api,streams',
      ARCHIVE_MAX_AGE_MS: '100',
      CLOUDWATCH_ENABLED: 'true',
      CLOUDWATCH_ENDPOINT: receiver.url,
    })
    const body = Array.from({ length: 7 }, (_, n) => ({
      ...{ user_id: n, postcode: 'A', webpage: 'w' },
      ...{ timestamp: Math.floor(Date.now() / 1000), event_id: `e${n % 5}` },
    }))
    const { status } = await server.call('POST', '/api/pageviews/batch', { body })
    assert.equal(status, 202)
    const written = 'pebbles_s3_writes_total{writer="raw"}'
    await until('it is archived', async () => ((await scrape(server))[written] ?? 0) >= 1)
    await server.stop()
    const sumOf = (name: string, of: (datum: Datum) => number) =>
      receiver.taken
        .flatMap(({ MetricData }) => MetricData)
        .filter(({ MetricName }) => MetricName === name)
        .reduce((sum, datum) => sum + of(datum), 0)
    assert.equal(
      sumOf('pageviews.produced', ({ Value }) => Value!),
      5,
    )
    const writes = sumOf('s3.writes', ({ Value, Dimensions: [writer] }) =>
      writer!.Value === 'raw' ? Value! : 0,
    )
    const times = sumOf('s3.write.duration', ({ StatisticValues }) => StatisticValues!.SampleCount)
    assert.ok(writes >= 1 && times >= writes)
    assert.ok(receiver.taken.every(({ Namespace }) => Namespace === 'PageviewPipeline'))
  })
})
