import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PebblesApiError, PebblesConnectionError } from '@pebbles/client'
import { nextCursor, parseProblem } from '../src/api/answers.ts'
import { AWAY, isUnauthorized, tell, tellShortly } from '../src/api/problem.ts'
import { CUSTOMERS, type Job } from '../src/api/types.ts'
import { announceEnd, describeRows, rowPercent } from '../src/jobs/job-texts.ts'
import { sampleCsv } from '../src/jobs/sample.ts'
import { CONNECTING, nextLiveState, POLL_MS, pollInterval } from '../src/live/live-status.ts'

const JOB: Job = {
  ...{ id: 'x', filename: 'a.csv', status: 'processing', totalRows: 59, processedRows: 12 },
  ...{ successCount: 12, failedCount: 0, error: null, createdAt: '', completedAt: null, sequence: 1 },
  ...{ dataset: 'customers', parentId: null, sizeBytes: 1, duplicateCount: 0, correctedCount: 0 },
}

describe('what the page says', () => {
  test('W1 a refusal is told with every fault that the service named', () => {
    const problem = {
      ...{ type: 'urn:x', title: 'The request is not valid', status: 400, code: 'invalid_request' },
      detail: 'Not valid: file.',
      errors: [{ field: 'file', message: 'is missing' }],
    }
    const error = new PebblesApiError(400, { problem })
    assert.deepEqual(tell(error), { title: 'Not valid: file.', faults: ['file is missing'] })
    assert.equal(tellShortly(error), 'Not valid: file. file is missing')
  })

  test('W1 no answer, and an answer of somebody in between, are told as such', () => {
    assert.equal(tellShortly(new PebblesConnectionError('x')), AWAY)
    assert.match(tellShortly(new PebblesApiError(502)), /answered 502/)
    assert.equal(parseProblem('<html>Bad gateway</html>'), undefined)
    assert.equal(parseProblem('null'), undefined)
    assert.ok(isUnauthorized(new PebblesApiError(401)))
  })

  test('W2 rows are described in every state', () => {
    const told = (more: Partial<Job>) => describeRows({ ...JOB, ...more })
    assert.equal(told({}), '12 of 59 rows')
    assert.equal(told({ processedRows: 59 }), '59 rows')
    assert.equal(told({ totalRows: null, processedRows: 0 }), 'Counting rows')
    assert.equal(told({ status: 'pending', totalRows: null, processedRows: 0 }), 'Waiting for its turn')
    assert.equal(told({ status: 'cancelled', totalRows: null, processedRows: 0 }), 'No rows')
    assert.equal(
      told({ status: 'failed', totalRows: null, processedRows: 0, error: 'The file is empty.' }),
      'The file is empty.',
    )
    assert.equal(rowPercent({ ...JOB, totalRows: null }), undefined)
    assert.equal(rowPercent(JOB), 20)
  })

  test('W7 the end of an import is announced with what became of its rows', () => {
    assert.equal(
      announceEnd({ ...JOB, status: 'completed', successCount: 53, failedCount: 6 }),
      'Import of a.csv completed: 53 rows imported, 6 rows refused.',
    )
    assert.equal(
      announceEnd({ ...JOB, status: 'failed', error: 'The file is empty.' }),
      'Import of a.csv failed. The file is empty.',
    )
    assert.equal(announceEnd({ ...JOB, status: 'cancelled' }), 'Import of a.csv was cancelled.')
  })

  test('W1 the sample file has the columns of its dataset, and quotes what needs it', () => {
    assert.equal(
      sampleCsv(CUSTOMERS),
      'name,email,phone,company\n' +
        'Ada Brandt,ada.brandt@example.com,+1 202 555 0101,"Brandt & Daughters, Ltd."\n' +
        'Bela Novak,bela.novak@example.org,,Novak Instruments\n',
    )
    const orders = {
      name: 'orders',
      columns: [
        { name: 'amount', type: 'decimal' },
        { name: 'size', type: 'enum', values: ['S', 'L'] },
        { name: 'note' },
      ],
    }
    assert.equal(sampleCsv(orders), 'amount,size,note\n12.50,S,note 1\n3.25,L,note 2\n')
  })

  test('W2 the cursor of the next page is read from the Link header', () => {
    assert.equal(nextCursor('</api/jobs?limit=2&after=WzE3%3D>; rel="next"'), 'WzE3=')
    assert.equal(nextCursor('</api/jobs>; rel="prev"'), null)
    assert.equal(nextCursor(null), null)
  })
})

describe('how the page hears of changes', () => {
  test('W3 three failures in a row lead to asking, one success back to being told', () => {
    let state = CONNECTING
    const seen = (['lost', 'lost', 'lost', 'lost', 'open', 'lost', 'open'] as const).map((event) => {
      state = nextLiveState(state, event)
      return state.status
    })
    assert.deepEqual(seen, ['connecting', 'connecting', 'polling', 'polling', 'live', 'reconnecting', 'live'])
    assert.equal(nextLiveState(CONNECTING, 'refused').status, 'polling')
  })

  test('W3 nobody asks while events come by themselves, nor while nothing is under way', () => {
    assert.equal(pollInterval('live', true), false)
    for (const status of ['connecting', 'reconnecting', 'polling'] as const) {
      assert.equal(pollInterval(status, true), POLL_MS)
      assert.equal(pollInterval(status, false), false)
    }
  })
})
