import { fileURLToPath } from 'node:url'
import rateLimit from '@fastify/rate-limit'
import type { FastifyBaseLogger } from 'fastify'
import type { Config } from '../config.ts'
import { registerDatasetRoutes } from '../datasets/routes.ts'
import { createJobAccess } from '../jobs/caller.ts'
import { jobAnnouncementOf, readJobAnnouncement } from '../jobs/live/announcement.ts'
import { createJobLiveHub } from '../jobs/live/live.ts'
import { createJobOverviewHub } from '../jobs/live/live-overview.ts'
import { createReceipts } from '../jobs/proof/receipt-postgres.ts'
import { showJobState, showProgress } from '../jobs/read-model.ts'
import { jobsByIds, listJobs } from '../jobs/read-postgres.ts'
import { registerJobRoutes } from '../jobs/routes.ts'
import { readJobStats } from '../jobs/stats-postgres.ts'
import { PebblesError } from '../platform/errors.ts'
import { type App, createApp, listen } from '../platform/http/app.ts'
import { createAuthHooks } from '../platform/http/auth.ts'
import { registerPage } from '../platform/http/page.ts'
import { encodeTimeCursor } from '../platform/http/paging.ts'
import type { Log } from '../platform/log.ts'
import { listenForChanges } from '../platform/postgres/notifications.ts'
import { createSigningKeys } from '../platform/postgres/signing-keys.ts'
import { openDevIssuer } from '../platform/tokens/dev-issuer.ts'
import { devTokens, googleTokens, oidcTokens } from '../platform/tokens/token-sources.ts'
import type { TokenVerifier } from '../platform/tokens/token-verifier.ts'
import { announcementOf } from '../progress/announcement.ts'
import { createLedger } from '../progress/ledger.ts'
import { createLiveHub } from '../progress/live.ts'
import { showTotals } from '../progress/read-model.ts'
import { registerProgressRoutes } from '../progress/routes.ts'
import type { RecordStore } from '../progress/store.ts'
import { type Base, JOBS_CHANNEL, PROGRESS_CHANNEL } from './base.ts'
import { registerHealthRoutes } from './health.ts'

/** The page as it was built. */
const PAGE = fileURLToPath(new URL('../../../web/dist', import.meta.url))

export interface Api extends AsyncDisposable {
  /** Where it listens, such as `http://127.0.0.1:8081`. */
  url: string
}

/** The role that answers HTTP: the ledger's routes, jobs, live views, documentation, health. */
export async function startApi(config: Config, base: Base, log: Log): Promise<Api> {
  await using opened = new AsyncDisposableStack()
  const warn = (message: string, err: Error) => log.warn({ err }, message)
  const auth = createAuthHooks(await openTokens(config, log))
  const { store, announce, announceJobs, announceStops, database, objects, queue } = base
  const signingKeys = createSigningKeys(database.pool)

  const live = createLiveHub({
    fetchRecords: (ids) => store.byIds(ids),
    listNewest: (clientKrn, page) => store.list({ clientKrn }, page),
    toMessage: showTotals,
    log: warn,
  })
  const liveJobs = opened.use(
    createJobLiveHub({
      fetchJobs: (ids) => jobsByIds(database.pool, ids),
      toMessage: showProgress,
      log: warn,
    }),
  )
  const overview = opened.use(
    createJobOverviewHub({
      fetchJobs: (ids) => jobsByIds(database.pool, ids),
      listNewest: (clientKrn, limit) => listJobs(database.pool, clientKrn, { limit }),
      readStats: (clientKrn) => readJobStats(database.pool, clientKrn),
      toMessage: showJobState,
      toCursor: ({ createdAt, id }) => encodeTimeCursor(createdAt, id),
      log: warn,
    }),
  )
  opened.use(
    await listenForChanges({
      url: database.url,
      channels: {
        [PROGRESS_CHANNEL]: (announcements) => live.changed(announcements),
        [JOBS_CHANNEL]: (announcements) => {
          liveJobs.changed(announcements.map((announcement) => readJobAnnouncement(announcement).jobId))
          overview.changed(announcements)
        },
      },
      onReconnect: () => {
        void live.lookAtAll()
        liveJobs.lookAtAll()
        overview.resend()
      },
      log: warn,
    }),
  )
  const streams = { total: config.LIVE_VIEWS, perAddress: config.LIVE_VIEWS_PER_ADDRESS }
  const ledger = opened.use(
    createLedger({
      apply: (updates) => applyAndAnnounce(store, announce, updates),
      lanes: config.LEDGER_LANES,
      maxPending: config.LEDGER_MAX_PENDING,
      maxPendingBytes: config.LEDGER_MAX_PENDING_BYTES,
    }),
  )
  const app = await createApp({ log: log as FastifyBaseLogger, corsOrigin: config.CORS_ORIGIN })
  opened.defer(() => app.close())
  // Streams first: an open one would hold the server's close back.
  app.addHook('preClose', async () => {
    await live[Symbol.asyncDispose]()
    await liveJobs[Symbol.asyncDispose]()
    await overview[Symbol.asyncDispose]()
  })
  registerPage(app, PAGE)
  registerHealthRoutes(app, database, queue)
  await app.register(async (scope) => {
    await limitRate(scope as unknown as App, config.RATE_LIMIT)
    registerProgressRoutes(scope as unknown as App, {
      ledger,
      store,
      live,
      auth,
      isPublic: config.PUBLIC_READ,
      streams,
    })
  })
  const access = createJobAccess(auth, config.auth === 'dev')
  registerDatasetRoutes(app, { access, pool: database.pool })
  await app.register(async (scope) => {
    await registerJobRoutes(scope as unknown as App, {
      access,
      pool: database.pool,
      objects,
      queue,
      live: liveJobs,
      overview,
      streams,
      maxUploadBytes: config.MAX_UPLOAD_BYTES,
      onCreated: ({ jobId, clientKrn, recordId }) => {
        queue.wake(jobId)
        announceJobs.notify([jobAnnouncementOf({ id: jobId, clientKrn })])
        announce.notify([recordId])
      },
      onChanged: ({ jobId, clientKrn, recordId }) => {
        announceJobs.notify([jobAnnouncementOf({ id: jobId, clientKrn })])
        if (recordId !== undefined) announce.notify([recordId])
      },
      onStopped: (jobId) => announceStops.notify([jobId]),
      receipts: createReceipts(database.pool, signingKeys),
      signingKeys,
    })
  })
  const url = await listen(app, config.HOST, config.PORT)
  const owned = opened.move()
  return { url, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function applyAndAnnounce(
  store: RecordStore,
  announce: Base['announce'],
  updates: Parameters<RecordStore['apply']>[0],
) {
  const outcomes = await store.apply(updates)
  const changed = new Set<string>()
  for (const [index, outcome] of outcomes.entries()) {
    if ('totals' in outcome && !outcome.isReplay)
      changed.add(announcementOf(updates[index]!.clientKrn, outcome.recordId))
  }
  announce.notify(changed)
  return outcomes
}

async function openTokens(config: Config, log: Log): Promise<TokenVerifier> {
  const onRefreshFailed = (err: Error) =>
    log.warn({ err }, 'the keys of the token issuer could not be refreshed')
  const clientClaim = config.JWT_CLIENT_CLAIM
  if (config.auth === 'google')
    return googleTokens({ clientClaim, onRefreshFailed, clientId: config.GOOGLE_CLIENT_ID! })
  if (config.auth === 'oidc') {
    const { OIDC_ISSUER: issuer, OIDC_AUDIENCE: audience } = config
    return oidcTokens({ clientClaim, onRefreshFailed, issuer: issuer!, audience: audience! })
  }
  return devTokens({ issuer: await openDevIssuer({ dataDir: config.dataDir, clientClaim }) })
}

/** Per client and minute, after the token was checked and before the body is read; counted per process. */
async function limitRate(app: App, max: number): Promise<void> {
  if (max === 0) return
  await app.register(rateLimit, {
    max,
    timeWindow: 60_000,
    hook: 'preParsing',
    cache: 10_000,
    enableDraftSpec: true,
    keyGenerator: (request) => {
      const { clientKrn } = request.params as { clientKrn: string }
      // Readers need no token: one of them must not use up what is the client's own.
      return request.method === 'POST' ? clientKrn : `${clientKrn}\0${request.ip}`
    },
    errorResponseBuilder: (_request, { ttl }) =>
      new PebblesError('rate_limited', `More than ${max} requests a minute for this client.`, {
        retryAfterSeconds: Math.ceil(ttl / 1000),
      }),
  })
}
