/** The load, in a process of its own: `node load.mjs FILE`. Sends the tokens of the file to one API at a time, and answers with what it measured. */
import { readFileSync } from 'node:fs'
import autocannon from 'autocannon'

const all = readFileSync(process.argv[2], 'utf8').split('\n')
process.on('message', async message => process.send(await measure(message)))
process.once('disconnect', () => process.exit())

async function measure({ port, connections, from, to, seconds, amount }) {
  const count = (to ?? all.length) - from
  let sent = 0
  const { requests, duration, non2xx, errors } = await autocannon({
    url: `http://127.0.0.1:${port}/orders`,
    connections,
    ...(amount === undefined ? { duration: seconds } : { amount }),
    requests: [
      {
        method: 'GET',
        setupRequest(request) {
          const token = all[from + (sent++ % count)]
          return { ...request, headers: { ...request.headers, authorization: `Bearer ${token}` } }
        },
      },
    ],
  })
  return { rate: requests.total / duration, count: requests.total, refused: non2xx, errors, again: sent > count }
}
