/**
 * A program in a terminal that calls the API once a second, and refreshes its access token by itself:
 *
 *     npx tsx examples/ladder/terminal.ts            logs alice in by her password
 *     npx tsx examples/ladder/terminal.ts --device   lets carol log in in a browser, at the external provider
 *
 * It needs the ladder running: npm run example ladder -- --serve
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { deviceLogin, refreshing, type Tokens } from 'scopegate/client'
import { askForTokens } from './calls.js'
import { passwords } from './people.js'

/** The tutorial's way; see house.ts for why not to. */
export async function passwordLogin(issuer: string, username: string, password: string): Promise<Tokens> {
  const answer = await askForTokens(issuer, { grant_type: 'password', client_id: 'terminal', username, password })
  if (answer.error !== undefined) throw new Error(`${issuer} says: ${answer.error}`)
  return {
    accessToken: answer.access_token,
    refreshToken: answer.refresh_token,
    expiresAt: Math.floor(Date.now() / 1000) + answer.expires_in,
  }
}

export interface WatchOptions {
  url: string
  issuer: string
  /** Kept in memory alone; a program that is to survive a restart keeps them where the system keeps its secrets. */
  tokens: Tokens
  /** How many seconds, with one call in each. */
  seconds: number
  print: (line: string) => void
}

/** @returns the status of each call, and how often the tokens were renewed meanwhile */
export async function watchData({ url, issuer, tokens, seconds, print }: WatchOptions): Promise<{ statuses: number[]; renewed: number }> {
  let renewed = 0
  const statuses: number[] = []
  const source = refreshing(tokens, {
    issuer,
    clientId: 'terminal',
    onTokens: () => {
      renewed++
    },
  })
  try {
    for (let second = 0; second < seconds; second++) {
      const response = await source.fetch(`${url}/data`)
      statuses.push(response.status)
      print(`${second} s: GET /data ${response.status}, ${renewed === 0 ? 'the first access token' : `renewed: ${renewed}`}`)
      await response.text()
      await sleep(1000)
    }
    return { statuses, renewed }
  } finally {
    source.close()
  }
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      device: { type: 'boolean', default: false },
      port: { type: 'string', default: '3000' },
      seconds: { type: 'string', default: '90' },
    },
  })
  const port = Number(values.port)
  const issuer = values.device ? `http://localhost:${port + 2}` : `http://127.0.0.1:${port + 1}`
  const tokens = values.device
    ? await deviceLogin({
        issuer,
        clientId: 'terminal',
        scope: 'openid data:read',
        onCode: ({ userCode, verificationUri }) => console.log(`Open ${verificationUri} and enter ${userCode}`),
      })
    : await passwordLogin(issuer, 'alice', passwords.alice)
  await watchData({ url: `http://127.0.0.1:${port}`, issuer, tokens, seconds: Number(values.seconds), print: console.log })
}
