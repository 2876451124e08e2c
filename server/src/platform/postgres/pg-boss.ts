import type pg from 'pg'
import { PgBoss } from 'pg-boss'
import { openDatabase, withConnection } from './database.ts'

const HOUR_S = 3_600

/**
 * pg-boss on a pool of ours: it makes no connection of its own. Its schema `pgboss` is made, or brought up, by `start`,
 * one process at a time by its advisory lock.
 */
export function createBoss(pool: pg.Pool, log: (message: string, error: Error) => void): PgBoss {
  const boss = new PgBoss({
    // It sends whole transactions as one text. One that fails leaves its connection inside of it, and a pool would lend
    // that to the next user: hence the ROLLBACK of `withConnection`.
    db: { executeSql: (text, values) => withConnection(pool, (client) => client.query(text, values)) },
    // No cron, no flows, no registry of instances: what is not used shall not be asked about either.
    schedule: false,
    registerInstance: false,
    flowIntervalSeconds: HOUR_S,
    maintenanceIntervalSeconds: HOUR_S,
  })
  boss.on('error', (error) => log('the queue in the database is in trouble', error))
  boss.on('warning', ({ message }) => log('pg-boss warns', new Error(message)))
  return boss
}

/** Makes or brings up the schema of pg-boss, which every start of a queue does anyway. */
export async function installBoss(url: string): Promise<void> {
  const log = () => {}
  await using database = openDatabase({ url, maxConnections: 1, maxLanes: 1, maxJobConnections: 1, log })
  const boss = createBoss(database.pool, log)
  await boss.start()
  await boss.stop({ close: false })
}
