/** What a test leaves behind is ended here, in turn, and counted: after close() no handle may be left. */
import { setTimeout as pause } from 'node:timers/promises'

const ends: (() => unknown)[] = []

/** Calls `end` when the test has run, the last one first. */
export function atEnd(end: () => unknown): void {
  ends.push(end)
}

const WATCHED = ['TCPSocketWrap', 'TCPServerWrap', 'TLSWrap', 'Timeout', 'GetAddrInfoReqWrap', 'TCPConnectWrap', 'MessagePort', 'Worker']

/** What keeps this process from ending: timers that are unref'd, and idle connections, do not. */
function handles(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) if (WATCHED.includes(name)) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

/** Runs a test, ends all that it began, and gives the handles that it has nevertheless left behind. */
export async function leavingNothing(run: () => Promise<void>): Promise<Record<string, number>> {
  const before = handles()
  try {
    await run()
  } finally {
    for (const end of ends.splice(0).reverse()) await end()
  }
  const left = () => Object.fromEntries(Object.entries(handles()).filter(([name, count]) => count > (before[name] ?? 0)))
  for (let wait = 0; wait < 100 && Object.keys(left()).length > 0; wait++) await pause(10)
  return left()
}
