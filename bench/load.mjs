/** The load, in a process of its own: autocannon against one API, with tokens out of a file. Answers with what it measured. */
import { readFileSync } from 'node:fs'
import autocannon from 'autocannon'

const CONNECTIONS = 64

process.on('message', async ({ port, file, from, to, seconds, amount }) => {
  const tokens = readFileSync(file, 'utf8').split('\n').slice(from, to)
  let next = 0
  let sent = 0
  const result = await autocannon({
    url: `http://127.0.0.1:${port}/orders`,
    connections: CONNECTIONS,
    ...(amount === undefined ? { duration: seconds } : { amount }),
    requests: [
      {
        method: 'GET',
        setupRequest(request) {
          sent++
          next = next + 1 < tokens.length ? next + 1 : 0
          return { ...request, headers: { ...request.headers, authorization: `Bearer ${tokens[next]}` } }
        },
      },
    ],
  })
  const { requests, latency, non2xx, errors } = result
  process.send({ rate: requests.average, count: requests.total, p99: latency.p99, refused: non2xx, errors, again: sent > tokens.length })
})
process.once('disconnect', () => process.exit())
