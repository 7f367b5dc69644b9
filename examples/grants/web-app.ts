/** A small web application that logs its user in by the code grant: what a person opens after `npm run example grants -- --serve`. */
import express, { type Express } from 'express'
import { alice } from './accounts.js'
import { type Application, beginLogin, discover, finishLogin, type Login } from './code-flow.js'
import { messagePage, pageHeaders } from './pages.js'
import { clients } from './provider.js'

export async function createWebApp(issuer: string, url: string, api: string): Promise<Express> {
  const flow: Application = { as: await discover(issuer), client: clients.webApp, redirectUri: `${url}/callback` }
  const app = express().disable('x-powered-by')

  app.get('/', async (_request, response) => {
    const { url: authorize, login } = await beginLogin(flow, 'openid orders:read')
    // What is kept until the answer comes stays with the browser that asked. With https: name it __Host-login, path /, and set secure.
    const cookie = { httpOnly: true, sameSite: 'lax', path: '/callback', maxAge: 600_000 } as const
    response.cookie('login', JSON.stringify(login), cookie).redirect(303, authorize.href)
  })

  app.get('/callback', async (request, response) => {
    response.set(pageHeaders)
    try {
      const { access_token } = await finishLogin(flow, keptLogin(request.headers.cookie), new URL(request.originalUrl, url))
      response.clearCookie('login', { path: '/callback' })
      const orders = await fetch(`${api}/orders`, { headers: { authorization: `Bearer ${access_token}` } })
      response.send(messagePage('Logged in', `GET /orders answered ${orders.status}: ${await orders.text()}`))
    } catch (error) {
      response.status(400).send(messagePage('Not logged in', (error as Error).message))
    }
  })
  return app
}

function keptLogin(cookies = ''): Login {
  const kept = cookies.match(/(?:^|; )login=([^;]*)/)?.[1]
  if (kept === undefined) throw new Error('No login was begun in this browser.')
  return JSON.parse(decodeURIComponent(kept))
}

/** What to try by hand. */
export function howTo(issuer: string, url: string, api: string): string {
  const { job, tv } = clients
  return `
A login       open ${url}/ (${alice.name}, ${alice.password})
A machine     curl -s ${issuer}/token -d grant_type=client_credentials -d scope=orders:read \\
                -d client_id=${job.client_id} -d client_secret=${job.client_secret}
A device      curl -s ${issuer}/device/auth -d client_id=${tv.client_id} -d scope='openid orders:read'
              open the verification_uri_complete, then
              curl -s ${issuer}/token -d grant_type=urn:ietf:params:oauth:grant-type:device_code \\
                -d client_id=${tv.client_id} -d device_code=THE_DEVICE_CODE
The API       curl -i ${api}/orders -H 'Authorization: Bearer THE_ACCESS_TOKEN'
Ctrl-C ends it.`
}
