import { setTimeout as delay } from 'node:timers/promises'

/** Waits until it is so, or fails after a minute: more than a machine takes that comes to a halt on the way. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await isSo()); await delay(20))
    if (Date.now() > deadline) throw new Error(`it did not come about: ${what}`)
}
