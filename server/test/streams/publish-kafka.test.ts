import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Producer } from '@platformatic/kafka'
import type { Pool } from 'pg'
import { freePort } from '../../../scripts/services/process.ts'
import { startPublisher } from '../../src/streams/publish/publisher.ts'
import { scrape } from '../helpers/metrics.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { startServer } from '../helpers/server.ts'
import { kafkaMissing, sharedKafka } from '../helpers/services.ts'
import { eventually } from '../progress/kafka-helpers.ts'
import { INSTALLATION, openPublishing, show } from './publish-helpers.ts'

const PROCESS = fileURLToPath(new URL('publisher-process.ts', import.meta.url))

describe('published windows', { skip: kafkaMissing() }, () => {
  const view = (postcode: string, second: number) =>
    JSON.stringify({ user_id: 1, postcode, webpage: 'w', timestamp: 1_611_662_000 + second })

  test('S4 S5 a window is a message for each postcode, exactly as in the source; a late event is as it was sent', async (t) => {
    const { topics, commit, publish, read } = await openPublishing(t, 2)
    await commit(1, ['BAB', 'A'], { late: [view('B', 1), view('A', 2)] })
    await commit(1, ['XY'], { stream: 'sales', late: [view('X', 3)] })
    await publish('aggregates', 1)
    await publish('late', 1)
    const common = { partition: '1', installation: INSTALLATION, client: 'krn:1' }
    assert.deepEqual(await read(), [
      {
        partition: 1,
        key: 'A',
        value: '{"postcode":"A","window_start":"2021-01-26T14:44:00","pageview_count":1}',
        headers: { ...common, sequence: '1' },
      },
      {
        partition: 1,
        key: 'B',
        value: '{"postcode":"B","window_start":"2021-01-26T14:44:00","pageview_count":2}',
        headers: { ...common, sequence: '1' },
      },
      {
        partition: 1,
        key: 'A',
        value: '{"postcode":"A","window_start":"2021-01-26T14:45:00","pageview_count":1}',
        headers: { ...common, sequence: '2' },
      },
    ])
    const window_start = '2021-01-26T14:43:00'
    assert.deepEqual(await read(topics.late), [
      { partition: 1, key: 'B', value: view('B', 1), headers: { ...common, offset: '0', window_start } },
      { partition: 1, key: 'A', value: view('A', 2), headers: { ...common, offset: '1', window_start } },
    ])
  })

  // Each step of a publisher, before and after it, in a partition of its own: there one publisher stops, as a process
  // that was killed or hangs; another one comes and publishes what there is, and more; then the first one wakes up, or
  // what it waited for is lost and it begins anew.
  test('S4 N1 each window once, wherever a publisher dies, hangs or loses an answer, and whenever it wakes up', async (t) => {
    const places = ['load', 'begin', 'save', 'send', 'commit', 'save again'].flatMap((step) => [
      `before ${step}`,
      `after ${step}`,
    ])
    const { pool, commit, publish, read } = await openPublishing(t, 2 * places.length)
    await Promise.all(
      Array.from({ length: 2 * places.length }, async (_, partition) => {
        const place = places[partition % places.length]!
        const isLost = partition >= places.length
        await commit(partition, ['ABA', 'C'])
        const gate = createGate(place, isLost)
        const first = gate.run(() => publish('aggregates', partition, { pool: gatedPool(pool) }))
        const ended = first.catch((error: Error) => error)
        await Promise.race([gate.reached, first])
        if (isLost) await ended
        await commit(partition, ['D'])
        await publish('aggregates', partition)
        gate.open()
        await ended
        await commit(partition, ['E'])
        await publish('aggregates', partition)
      }),
    )
    const seen = await read()
    for (let partition = 0; partition < 2 * places.length; partition++)
      assert.deepEqual(
        show(seen, partition),
        ['1 A=2', '1 B=1', '2 C=1', '3 D=1', '4 E=1'],
        `${places[partition % places.length]}, ${partition < places.length ? 'hung' : 'lost'}`,
      )
  })

  test('S4 N1 the topic tells what was published last when the note of it is lost; others may write to the topic', async (t) => {
    const { pool, connection, topics, commit, publish, read } = await openPublishing(t, 1)
    const forget = () => pool.query('DELETE FROM publications')
    await commit(0, ['A'])
    await forget()
    // Nothing was published yet: this is the first start, and what closed before it stays where it is.
    await publish('aggregates', 0)
    await commit(0, ['B', 'C'])
    await publish('aggregates', 0)
    const others = new Producer({ clientId: 'pebbles-test', ...connection })
    atEnd(t, () => others.close())
    const another = { sequence: '1000', partition: '0', installation: 'another' }
    await others.send({
      messages: Array.from({ length: 2_500 }, (_, n) => ({
        topic: topics.aggregates,
        partition: 0,
        value: Buffer.from('{}'),
        headers: new Map(
          Object.entries(n % 2 ? another : {}).map(([name, text]) => [Buffer.from(name), Buffer.from(text)]),
        ),
      })),
    })
    await commit(0, ['D'])
    await forget()
    await publish('aggregates', 0)
    await commit(0, ['E'])
    await publish('aggregates', 0)
    const ours = (await read()).filter(({ headers }) => headers.installation === INSTALLATION)
    assert.deepEqual(show(ours, 0), ['2 B=1', '3 C=1', '4 D=1', '5 E=1'])
  })

  test('S4 N1 a topic that retention has emptied, or that was made again, is gone on with', async (t) => {
    const { admin, topics, told, commit, publish, read } = await openPublishing(t, 1)
    const name = topics.aggregates
    await commit(0, ['A', 'B'])
    await publish('aggregates', 0)
    // With what ends their transaction.
    await admin.deleteRecords({ topics: [{ name, partitions: [{ partition: 0, offset: 3n }] }] })
    assert.deepEqual(await read(), [])
    await publish('aggregates', 0)
    await commit(0, ['C'])
    await publish('aggregates', 0)
    assert.deepEqual(show(await read(), 0), ['3 C=1'])
    assert.ok(told.every((line) => !line.includes('is gone')))

    await admin.deleteTopics({ topics: [name] })
    await eventually('it is gone', () =>
      admin.metadata({ topics: [name], forceUpdate: true }).then(
        () => false,
        () => true,
      ),
    )
    await commit(0, ['D'])
    await publish('aggregates', 0)
    assert.deepEqual(show(await read(), 0), ['4 D=1'])
    assert.equal(told.filter((line) => line.includes('the topic is another one')).length, 1)
  })

  test('S4 a topic that is there is used as it is: all of a partition of the log goes to one of its own, in order', async (t) => {
    const { admin, topics, commit, publish, read } = await openPublishing(t, 5)
    await admin.createTopics({ topics: [topics.aggregates], partitions: 2, replicas: 1 })
    const all = [0, 1, 2, 3, 4]
    for (const windows of [['AB', 'C'], ['D']]) {
      await Promise.all(all.map((partition) => commit(partition, windows)))
      await Promise.all(all.map((partition) => publish('aggregates', partition)))
    }
    const seen = await read()
    for (const partition of all) {
      assert.deepEqual(show(seen, partition), ['1 A=1', '1 B=1', '2 C=1', '3 D=1'])
      const places = seen.filter(({ headers }) => headers.partition === String(partition))
      assert.ok(places.every((each) => each.partition === partition % 2))
    }
  })

  test('S4 N1 a window with more postcodes than a transaction takes is gone on with where its publisher died', async (t) => {
    const { pool, commit, publish, read } = await openPublishing(t, 1)
    const postcodes = Array.from({ length: 12_000 }, (_, n) => `P${String(n).padStart(6, '0')}`)
    await commit(0, [postcodes, 'Z'])
    const gate = createGate('after commit', true)
    await assert.rejects(
      gate.run(() => publish('aggregates', 0, { pool: gatedPool(pool) })),
      /lost/,
    )
    const before = (await read()).length
    assert.ok(before > 0 && before < postcodes.length, `${before}`)
    await publish('aggregates', 0)
    assert.deepEqual(
      (await read()).map(({ key }) => key),
      [...postcodes, 'Z'],
    )
  })

  test('N8 a window that is revised is published again, with what was added', async (t) => {
    const { pool, commit, publish, read } = await openPublishing(t, 1)
    await commit(0, ['AAB'])
    await commit(0, ['C'], { revised: ['A', 'X'] })
    await commit(0, [], { revised: ['A'] })
    for (let times = 0; times < 2; times++) {
      await publish('aggregates', 0)
      await pool.query('DELETE FROM publications')
    }
    const window_start = '2021-01-26T14:44:00'
    const messages = (await read())
      .slice(3)
      .map(({ value, headers }) => [headers.sequence, headers.revision, value])
    const revised = (sequence: string, postcode: string, pageview_count: number, revision: number) => [
      sequence,
      String(revision),
      JSON.stringify({ postcode, window_start, pageview_count, revision, delta: 1 }),
    ]
    assert.deepEqual(messages, [revised('3', 'A', 3, 1), revised('4', 'X', 1, 1), revised('5', 'A', 4, 2)])
  })

  test('S4 S5 N1 each window and late event once, however often publishers are killed with -9 while there is more and more', async (t) => {
    const { databaseUrl: url, connection, topics, commit, publish, read } = await openPublishing(t, 2)
    const given = { url, connection, topics, installation: INSTALLATION, partitions: 2 }
    let commits = 0
    let isOver = false
    const committing = (async () => {
      for (; !isOver; commits++) {
        for (let partition = 0; partition < 2; partition++)
          await commit(partition, ['AB'], { late: [view('L', commits)] })
        await delay(50)
      }
    })()
    const killed = async (child: ChildProcess) => {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    }
    let last: ChildProcess | undefined
    for (let kills = 0; kills < 3; kills++) {
      const child = spawn(process.execPath, [PROCESS, JSON.stringify(given)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      atEnd(t, () => killed(child))
      await once(child.stdout!, 'data')
      // For a while both publish, and fence each other.
      await delay(300)
      if (last) await killed(last)
      last = child
    }
    await killed(last!)
    isOver = true
    await committing
    const all = [0, 1].flatMap((partition) => [publish('aggregates', partition), publish('late', partition)])
    await Promise.all(all)
    const windows = Array.from({ length: commits }, (_, n) => [`${n + 1} A=1`, `${n + 1} B=1`]).flat()
    const late = Array.from({ length: commits }, (_, n) => view('L', n))
    const [seen, seenLate] = [await read(), await read(topics.late)]
    for (let partition = 0; partition < 2; partition++) {
      assert.deepEqual(show(seen, partition), windows)
      const values = seenLate.filter((each) => each.partition === partition).map(({ value }) => value)
      assert.deepEqual(values, late)
    }
  })

  test('S2 S4 a broker that is away is waited for, and told of once; two processes share what there is to do', async (t) => {
    const rig = await openPublishing(t, 4)
    const { pool, topics, connection, told, commit, read } = rig
    const door = await startDoor(t, connection.bootstrapBrokers[0]!)
    const start = async (bootstrapBrokers: string[]) => {
      const publisher = await startPublisher({
        connection: { bootstrapBrokers },
        pool,
        installation: INSTALLATION,
        partitions: 4,
        topics,
        logger: rig.logger,
      })
      atEnd(t, () => publisher[Symbol.asyncDispose]())
      return publisher
    }
    const all = [0, 1, 2, 3]
    const first = await start([door.address])
    for (const partition of all) await commit(partition, ['A'])
    await eventually('it waits', async () => first.health().status === 'waiting')
    await eventually('they are missed', async () => first.behind() === 4)
    await door.open()
    const isThere = (count: number) => async () => (await read()).length === count
    await eventually('they are published', isThere(4))
    await eventually('all is well', async () => first.health().status === 'running')
    const warnings = told.map((line) => JSON.parse(line)).filter(({ level }) => level === 40)
    assert.equal(new Set(warnings.map(({ err }) => err.code)).size, warnings.length)
    const second = await start(connection.bootstrapBrokers)
    for (const partition of all) await commit(partition, ['B'])
    second.wake()
    await eventually('all are published', isThere(8))
    await eventually('both are through', async () => first.behind() + second.behind() === 0)
    await first[Symbol.asyncDispose]()
    for (const partition of all) await commit(partition, ['C'])
    await eventually('one is enough', isThere(12))
    const seen = await read()
    for (const partition of all) assert.deepEqual(show(seen, partition), ['1 A=1', '2 B=1', '3 C=1'])
  })

  test('S2 S4 S5 S8 page views come in over HTTP, and their windows and late ones are on the topics', async (t) => {
    const { topics, read } = await openPublishing(t, 1)
    const server = await startServer(t, {
      ...sharedKafka(),
      PEBBLES_ROLES: 'api,streams',
      ARCHIVE_FORMAT: 'off',
      STREAM_LOG: 'kafka',
      STREAM_TOPIC: topics.aggregates.replace('aggregates', 'events'),
      STREAM_PARTITIONS: '2',
      STREAM_AGGREGATES_TOPIC: topics.aggregates,
      STREAM_LATE_TOPIC: topics.late,
      STREAM_IDLE_MS: '400',
      STREAM_GRACE_MS: '0',
    })
    const events = [view('SW19', 700), view('SW19', 710), view('SW19', 800), view('SW19', 705)].map((line) =>
      JSON.parse(line),
    )
    const token = await server.token('alice@example.com', 'krn:http')
    assert.equal((await server.call('POST', '/api/pageviews/batch', { token, body: events })).status, 202)
    await eventually(
      'they are published',
      async () => (await read()).length === 2 && (await read(topics.late)).length === 1,
    )
    assert.deepEqual(
      (await read()).map(({ value }) => value),
      [
        '{"postcode":"SW19","window_start":"2021-01-26T12:05:00","pageview_count":2}',
        '{"postcode":"SW19","window_start":"2021-01-26T12:06:00","pageview_count":1}',
      ],
    )
    const [late] = await read(topics.late)
    assert.deepEqual([late!.value, late!.headers.client], [JSON.stringify(events[3]), 'krn:http'])
    const samples = await scrape(server)
    assert.equal(samples[`pebbles_stream_published_total{topic="${topics.aggregates}",kind="aggregates"}`], 2)
    assert.equal(samples[`pebbles_stream_published_total{topic="${topics.late}",kind="late"}`], 1)
    assert.equal(samples.pebbles_stream_unpublished_windows, 0)
  })
})

/** A way to a server that is closed at first: whoever comes is refused. */
async function startDoor(scope: Scope, address: string) {
  const [host, port] = address.split(':')
  const server = createServer((client) => {
    const upstream = connect(Number(port), host)
    client.on('error', () => upstream.destroy()).pipe(upstream)
    upstream.on('error', () => client.destroy()).pipe(client)
    atEnd(scope, () => void client.destroy())
  })
  const own = await freePort()
  atEnd(scope, () => new Promise((resolve) => server.close(resolve)))
  return {
    address: `127.0.0.1:${own}`,
    open: () => once(server.listen(own, '127.0.0.1'), 'listening'),
  }
}

interface Gate {
  step(name: string): Promise<void>
}

const gates = new AsyncLocalStorage<Gate>()

/** Stops what it runs at one place, until it is opened; or the answer is lost there. */
function createGate(place: string, isLost: boolean) {
  const reached = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()
  let saves = 0
  const gate: Gate = {
    async step(step) {
      if (step === 'before save') saves++
      if (place !== (saves > 1 && step.endsWith('save') ? `${step} again` : step)) return
      reached.resolve()
      if (isLost) throw new Error('lost')
      await opened.promise
    },
  }
  return {
    run: <T>(work: () => T) => gates.run(gate, work),
    reached: reached.promise,
    open: () => opened.resolve(),
  }
}

async function gated<T>(name: string, work: () => Promise<T>): Promise<T> {
  const gate = gates.getStore()
  await gate?.step(`before ${name}`)
  const result = await work()
  await gate?.step(`after ${name}`)
  return result
}

/** Of the statements of a publisher those that it loads and saves its place with. */
const gatedPool = (pool: Pool): Pool =>
  new Proxy(pool, {
    get(target, name) {
      if (name !== 'query') return Reflect.get(target, name).bind(target)
      return (query: { name?: string }) => {
        const [step, what] = query.name?.split('-') ?? []
        return what === 'publication'
          ? gated(step!, () => target.query(query as never))
          : target.query(query as never)
      }
    },
  })

const { beginTransaction } = Producer.prototype
// biome-ignore lint/suspicious/noExplicitAny: the library's overloads
Producer.prototype.beginTransaction = function (this: Producer, ...given: any[]): any {
  return gated('begin', async () => {
    // biome-ignore lint/suspicious/noExplicitAny: the same
    const transaction = await (beginTransaction as any).apply(this, given)
    // The first one was begun when the sender was opened; later ones ask nobody.
    for (const step of ['send', 'commit'] as const) {
      const work = transaction[step].bind(transaction)
      // biome-ignore lint/suspicious/noExplicitAny: the same
      transaction[step] = (...options: any[]) => gated(step, () => work(...options))
    }
    return transaction
  })
}
