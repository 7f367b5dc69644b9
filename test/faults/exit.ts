/** A process that must end by itself: it meets every fault that it is given, closes its gates, and does nothing more. */
import { createResourceServer, isAuthError } from 'scopegate'

interface Meeting {
  readonly issuer: string
  readonly jwksUri: string
  readonly token: string
  /** Closes before the answer has come. */
  readonly closesEarly: boolean
}

const meetings = JSON.parse(process.env.MEETINGS!) as readonly Meeting[]

const verdicts = await Promise.all(
  meetings.map(async ({ issuer, jwksUri, token, closesEarly }) => {
    const server = createResourceServer({ issuer: { issuer, jwksUri }, audience: 'api', keys: { timeout: 0.3 } })
    if (closesEarly) setTimeout(() => void server.close(), 100)
    const verdict = await server.validate(token).then(
      () => '200',
      error => (isAuthError(error) ? `${error.status} ${error.reason}` : String(error)),
    )
    const { lastError } = server.status()[0]!
    await server.close()
    return `${verdict} ${lastError?.code ?? 'none'}`
  }),
)
console.log(JSON.stringify(verdicts))
