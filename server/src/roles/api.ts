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
import { createStreamLimit } from '../platform/http/stream-limit.ts'
import { createWarn, type Log } from '../platform/log.ts'
import { listenForChanges } from '../platform/postgres/notifications.ts'
import { createSigningKeys } from '../platform/postgres/signing-keys.ts'
import { openDevIssuer } from '../platform/tokens/dev-issuer.ts'
import { devTokens, googleTokens, oidcTokens } from '../platform/tokens/token-sources.ts'
import type { TokenVerifier } from '../platform/tokens/token-verifier.ts'
import { showTotals } from '../progress/http/read-model.ts'
import { registerProgressRoutes } from '../progress/http/routes.ts'
import { createLiveHub } from '../progress/live/live.ts'
import { registerClientBalance, registerOwnBalance } from '../streams/balance/balance-routes.ts'
import { registerDeclarationRoutes } from '../streams/declaration-routes.ts'
import { createAppender } from '../streams/in/appender.ts'
import { registerEventRoutes, registerPageviewRoutes } from '../streams/in/in-routes.ts'
import { createEventTally, measureAppender } from '../streams/metrics.ts'
import { registerLateEvents, registerLatePageviews } from '../streams/query/late-routes.ts'
import { createWindowHub } from '../streams/query/live-windows.ts'
import {
  registerPageviewQueries,
  registerStreamQueries,
  registerWindowStream,
} from '../streams/query/query-routes.ts'
import { readClosed, readHeads } from '../streams/windows/closings-postgres.ts'
import { type Base, JOBS_CHANNEL, PROGRESS_CHANNEL } from './base.ts'
import type { Component } from './components.ts'
import { type Listening, registerOperationsRoutes } from './operations.ts'

/** The page as it was built. */
const PAGE = fileURLToPath(new URL('../../../web/dist', import.meta.url))

/** The role that answers HTTP: the ledger's routes, jobs, live views, documentation, health. */
export async function startApi(
  config: Config,
  base: Base,
  components: readonly Component[],
  log: Log,
): Promise<Listening> {
  await using opened = new AsyncDisposableStack()
  const warn = createWarn(log)
  const auth = createAuthHooks(await openTokens(config, log))
  const { store, ledger, announce, announceJobs, announceStops, database, objects, queue } = base
  const signingKeys = createSigningKeys(database.pool)

  const live = opened.use(
    createLiveHub({
      fetchRecords: (ids) => store.byIds(ids),
      listNewest: (clientKrn, page) => store.list({ clientKrn }, page),
      toMessage: showTotals,
      log: warn,
    }),
  )
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
  const windows = opened.use(
    createWindowHub({
      readHeads: () => readHeads(database.pool, base.eventLog.partitions),
      readClosed: (of, range) => readClosed(database.pool, of, range),
      log: warn,
    }),
  )
  const appender = opened.use(
    createAppender({
      append: base.eventLog.append,
      maxPending: config.STREAM_MAX_PENDING,
      maxPendingBytes: config.STREAM_MAX_PENDING_BYTES,
    }),
  )
  measureAppender(appender, base.metrics.registry)
  const streams = { total: config.LIVE_VIEWS, perAddress: config.LIVE_VIEWS_PER_ADDRESS }
  const app = await createApp({
    log: log as FastifyBaseLogger,
    corsOrigin: config.CORS_ORIGIN,
    registry: base.metrics.registry,
  })
  opened.defer(() => app.close())
  // Streams first: an open one would hold the server's close back.
  app.addHook('preClose', async () => {
    await live[Symbol.asyncDispose]()
    await liveJobs[Symbol.asyncDispose]()
    await overview[Symbol.asyncDispose]()
    await windows[Symbol.asyncDispose]()
  })
  registerPage(app, PAGE)
  registerOperationsRoutes(app, base.metrics, components)
  const access = createJobAccess(auth, config.auth === 'dev')
  const streamParts = {
    access,
    auth,
    streams: base.streams,
    pool: database.pool,
    eventLog: base.eventLog,
    appender,
    tally: createEventTally(base.metrics.registry),
    bindKey: store.bindKey,
    isArchived: config.ARCHIVE_FORMAT !== 'off',
  }
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
    registerDeclarationRoutes(scope as unknown as App, { auth, streams: base.streams })
    registerStreamQueries(scope as unknown as App, streamParts)
    registerLateEvents(scope as unknown as App, streamParts)
    registerClientBalance(scope as unknown as App, streamParts)
    await scope.register(async (inner) => registerEventRoutes(inner as unknown as App, streamParts))
  })
  await app.register(async (scope) => registerPageviewRoutes(scope as unknown as App, streamParts))
  registerPageviewQueries(app, streamParts)
  registerOwnBalance(app, streamParts)
  registerLatePageviews(app, streamParts)
  registerWindowStream(app, { ...streamParts, windows, limit: createStreamLimit(streams) })
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
