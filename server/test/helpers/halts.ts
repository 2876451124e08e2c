/**
 * Notices when this process, and with it most likely the machine, stands still. A lease runs out meanwhile, as it must, so
 * that nobody else takes a job holds only where nothing did.
 */
export function watchForHalts() {
  let longestMs = 0
  let last = Date.now()
  const look = () => {
    longestMs = Math.max(longestMs, Date.now() - last)
    last = Date.now()
    return longestMs
  }
  const timer = setInterval(look, 50)
  return { longestMs: look, [Symbol.dispose]: () => clearInterval(timer) }
}
