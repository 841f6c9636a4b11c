// All it takes to post an event: one fetch. The answer is the event's receipt.
async function collect(name, data) {
  const response = await fetch(COLLECTOR + "/v1/events", {
    method: "POST", keepalive: true, credentials: "omit", headers: { "Content-Type": "text/plain" },
    body: JSON.stringify({
      projectKey: KEY, event_name: name, event_data: data, url: location.href, page_title: document.title,
      referrer: document.referrer, sessionId: sessionStorage.session, eventId: crypto.randomUUID(),
    }),
  });
  const receipt = await response.json();
  if (receipt.session_id) sessionStorage.session = receipt.session_id;
  show(name, receipt);
}
