/** An API in a process of its own: `node api.mjs NAME`, with its context as a message; answers with its port. */
import { listen } from './apis.mjs'

process.once('message', async context => process.send(await listen(process.argv[2], context)))
process.once('disconnect', () => process.exit())
