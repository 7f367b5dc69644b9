/** An API in a process of its own: `node api.mjs NAME`. Its context comes as a message; it answers with its port, and to each further one with the microseconds of processor time that it took so far. */
import { listen } from './apis.mjs'

process.once('message', async context => {
  process.send(await listen(process.argv[2], context))
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send(user + system)
  })
})
process.once('disconnect', () => process.exit())
