// The access token is in this variable alone: not in localStorage, where every later script of the origin could read it.
let access

const signedOut = document.querySelector('#signed-out')
const signedIn = document.querySelector('#signed-in')
const status = document.querySelector('#status')
const form = document.querySelector('form')

async function ask(path, body = {}) {
  const response = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return response.json()
}

function show(isSignedIn, text) {
  signedOut.hidden = isSignedIn
  signedIn.hidden = !isSignedIn
  status.textContent = text
}

/** The token at hand, or a new one where it is about to expire; undefined: nobody is signed in. */
async function accessToken() {
  if (access === undefined || Date.now() > access.until) {
    const { accessToken, expiresIn } = await ask('/web/token')
    access = accessToken === undefined ? undefined : { text: accessToken, until: Date.now() + (expiresIn - 1) * 1000 }
  }
  return access?.text
}

async function load() {
  const token = await accessToken()
  if (token === undefined) return show(false, 'Please log in.')
  const response = await fetch('/data', { headers: { authorization: `Bearer ${token}` } })
  // The token is refused before its time: somebody revoked it, and the session goes with it.
  if (response.status === 401) {
    access = undefined
    await ask('/web/logout')
    return show(false, 'Your session has ended. Please log in again.')
  }
  const { data, for: user } = await response.json()
  show(true, response.ok ? `${data.join(', ')} for ${user}, at ${new Date().toLocaleTimeString()}` : `The API answered ${response.status}.`)
}

/** What an event starts must not fail unseen. */
function on(element, event, action) {
  element.addEventListener(event, async happened => {
    happened.preventDefault()
    try {
      await action()
    } catch {
      status.textContent = 'The server does not answer. Try again later.'
    }
  })
}

on(form, 'submit', async () => {
  const answer = await ask('/web/login', Object.fromEntries(new FormData(form)))
  form.elements.password.value = ''
  if (answer.signedIn) await load()
  else show(false, 'Wrong user name or password.')
})
on(document.querySelector('#load'), 'click', load)
on(document.querySelector('#logout'), 'click', async () => {
  access = undefined
  await ask('/web/logout')
  show(false, 'You have logged out.')
})

// Whoever has a session goes on with it, also after a reload and after the login at the external provider.
on(window, 'pageshow', async () => show((await accessToken()) !== undefined, ''))
