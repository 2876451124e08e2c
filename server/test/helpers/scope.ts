import { after } from 'node:test'

/** Something that runs functions when a test, or a suite, has ended: a test context or a {@link suiteScope}. */
export interface Scope {
  after(fn: () => unknown): void
}

const stacks = new WeakMap<Scope, (() => unknown)[]>()

/** Runs `fn` when the scope ends, the last registered first (the runner alone would run the first one first). */
export function atEnd(scope: Scope, fn: () => unknown): void {
  const stack = stacks.get(scope)
  if (stack) {
    stack.push(fn)
    return
  }
  const own = [fn]
  stacks.set(scope, own)
  scope.after(() => runAll(own))
}

async function runAll(stack: (() => unknown)[]): Promise<void> {
  const errors: unknown[] = []
  while (stack.length > 0) {
    try {
      await stack.pop()!()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors, 'clean-up failed')
}

/** A scope that lasts as long as the `describe` in whose body it is made. */
export function suiteScope(): Scope {
  const fns: (() => unknown)[] = []
  after(() => runAll(fns))
  return { after: (fn) => void fns.push(fn) }
}
