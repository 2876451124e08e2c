import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { kafka } from '../../../scripts/services/kafka.ts'
import { s3 } from '../../../scripts/services/s3.ts'
import { sqs } from '../../../scripts/services/sqs.ts'

const text = await readFile(new URL('../../../deploy/compose.yml', import.meta.url), 'utf8')
const settingOf = (name: string) => new RegExp(`^ *${name}: (.+)$`, 'm').exec(text)![1]!

test('P15 S5 the broker in a container reaches itself by an address that is its own there, or no transaction ends', () => {
  const inside = settingOf('KAFKA_INTER_BROKER_LISTENER_NAME')
  const [listener, advertised] = ['KAFKA_LISTENERS', 'KAFKA_ADVERTISED_LISTENERS'].map((name) =>
    settingOf(name)
      .split(',')
      .find((each) => each.startsWith(`${inside}:`)),
  )
  assert.match(advertised!, /^\w+:\/\/127\.0\.0\.1:\d+$/)
  assert.equal(advertised, listener)
})

test('P14 P15 containers and processes are of the same versions', () => {
  for (const [image, { title }] of [
    ['apache/kafka', kafka],
    ['softwaremill/elasticmq-native', sqs],
    ['andrewgaul/s3proxy', s3],
  ] as const)
    assert.ok(text.includes(`image: ${image}:${title.split(' ').at(-1)}\n`), image)
})
