import assert from 'node:assert/strict'
import { createHmac, randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { s3Missing, sharedS3, startS3 } from '../helpers/services.ts'

/**
 * One request, signed in the way of before version 4, which is short enough for a test.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html
 */
function request(
  env: Record<string, string>,
  method: string,
  key: string,
  options: { body?: string; headers?: Record<string, string> } = {},
): Promise<Response> {
  const path = `/${env.S3_BUCKET}/${key}`
  const date = new Date().toUTCString()
  const toSign = [method, '', '', '', `x-amz-date:${date}`, path].join('\n')
  const signature = createHmac('sha1', env.AWS_SECRET_ACCESS_KEY!).update(toSign).digest('base64')
  return fetch(`${env.S3_ENDPOINT}${path}`, {
    method,
    headers: {
      ...options.headers,
      'x-amz-date': date,
      authorization: `AWS ${env.AWS_ACCESS_KEY_ID}:${signature}`,
    },
    body: options.body === undefined ? null : Buffer.from(options.body),
  })
}

const ONLY_NEW = { 'if-none-match': '*' }

describe('the S3 of tests and development', { skip: s3Missing() }, () => {
  test('S3 an object that is written only when there is none is written once, by one of many', async () => {
    const env = sharedS3()
    const key = randomUUID()
    const writers = Array.from({ length: 8 }, (_, index) => String(index).repeat(10_000))
    const answers = await Promise.all(
      writers.map((body) => request(env, 'PUT', key, { body, headers: ONLY_NEW })),
    )
    const winners = answers.flatMap(({ status }, index) => (status === 200 ? [index] : []))
    assert.equal(winners.length, 1)
    assert.deepEqual(
      answers.flatMap(({ status }) => (status === 200 ? [] : [status])),
      Array(7).fill(412),
    )
    assert.equal(await (await request(env, 'GET', key)).text(), writers[winners[0]!])
  })

  test('S3 who signs with another key is refused', async () => {
    const env = { ...sharedS3(), AWS_SECRET_ACCESS_KEY: 'another' }
    assert.equal((await request(env, 'PUT', randomUUID(), { body: 'x' })).status, 403)
  })

  test('S3 after kill -9 an object is there again', async (t) => {
    const server = await startS3(t)
    assert.equal((await request(server.env, 'PUT', 'kept', { body: 'bytes' })).status, 200)
    await server.kill()
    await server.restart()
    assert.equal(await (await request(server.env, 'GET', 'kept')).text(), 'bytes')
  })
})
