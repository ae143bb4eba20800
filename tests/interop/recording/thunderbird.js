// What Thunderbird does in its recorded day. The first part belongs to all steps; each step begins with a line `//# NAME`,
// and `//# @EVENT` is a step that begins after something has happened from outside.
const {MailUtils} = ChromeUtils.importESModule("resource:///modules/MailUtils.sys.mjs");
const server = MailServices.accounts.defaultAccount.incomingServer;
const root = server.rootFolder;
const named = name => root.descendants.find(folder => folder.onlineName === name || folder.name === name);
const inbox = root.descendants.find(folder => folder.flags & Ci.nsMsgFolderFlags.Inbox);
const wait = ms => new Promise(resolve => setTimeout(resolve, ms));
const until = async (holds, what) => {
  for (let tries = 0; !holds(); tries++) { if (tries > 300) throw Error("waited in vain: " + what); await wait(100); }
};
const heard = begin => new Promise((resolve, reject) => begin({
  OnStartRunningUrl() {}, OnStopRunningUrl(url, status) { status ? reject(Error("failed: " + status)) : resolve(); },
  onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() {},
  onStopCopy(status) { status ? reject(Error("failed: " + status)) : resolve(); },
  QueryInterface: ChromeUtils.generateQI(["nsIUrlListener", "nsIMsgCopyServiceListener"]),
}));
const update = folder => heard(l => folder.QueryInterface(Ci.nsIMsgImapMailFolder) && folder.updateFolderWithListener(null, l));
const replied = 0;  // nsIMsgFolder's state
const headers = folder => [...folder.messages];
const about = (folder, subject) => headers(folder).find(header => header.mime2DecodedSubject === subject);

//# log in and look for folders
server.password = "test";
for (const outgoing of MailServices.outgoingServer.servers) outgoing.password = "test";
server.performExpand(null);
await until(() => root.descendants.length > 5, "folders"); await wait(500);
await update(inbox);
await until(() => headers(inbox).length === 8, "headers"); await wait(8000);

//# subscribe
const listing = server.QueryInterface(Ci.nsISubscribableServer);
await new Promise(resolve => {
  listing.subscribeListener = {OnDonePopulating: resolve, QueryInterface: ChromeUtils.generateQI(["nsISubscribeListener"])};
  listing.startPopulating(null, true, false);
});
listing.subscribeCleanup();
await heard(l => server.QueryInterface(Ci.nsIImapServerSink) && server.QueryInterface(Ci.nsIImapIncomingServer)
  && MailServices.imap.unsubscribeFolder(root, "Projects", l));
await heard(l => MailServices.imap.subscribeFolder(root, "Projects", l));

//# create a folder
root.createSubfolder("Clients", null); await until(() => named("Clients"), "Clients"); await wait(500);

//# read a message with an attachment
const header = about(inbox, "Plans with a picture");
const uri = inbox.getUriForMsg(header);
await heard(l => MailServices.messageServiceFromURI(uri).streamMessage(uri, {
  onStartRequest() {}, onStopRequest() {}, onDataAvailable(r, stream, o, n) {
    Cc["@mozilla.org/scriptableinputstream;1"].createInstance(Ci.nsIScriptableInputStream).init(stream); },
  QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"])}, null, l, false, ""));
inbox.markMessagesRead([header], true); await wait(500);

//# tag, flag and judge
inbox.addKeywordsToMessages([about(inbox, "Invoice 17")], "$label1"); await wait(300);
inbox.addKeywordsToMessages([about(inbox, "Invoice 17")], "$label4"); await wait(300);
inbox.removeKeywordsFromMessages([about(inbox, "Invoice 17")], "$label4"); await wait(300);
inbox.markMessagesFlagged([about(inbox, "Meeting")], true); await wait(300);
inbox.setJunkScoreForMessages([about(inbox, "Offer")], 100, "user", -1); await wait(300);
inbox.setJunkScoreForMessages([about(inbox, "Meeting")], 0, "user", -1); await wait(500);

//# move, copy and delete
const copy = (subjects, to, isMove) => heard(l => MailServices.copy.copyMessages(
  inbox, subjects.map(subject => about(inbox, subject)), to, isMove, l, null, true));
await copy(["Lunch", "Question"], named("Clients"), true);
await copy(["Invoice 17"], named("Clients"), false);
await copy(["Offer"], named("Junk"), true);
await heard(l => inbox.deleteMessages([about(inbox, "Holidays")], null, false, false, l, true));
await update(named("Clients")); await wait(500);

//# answer
const identity = MailServices.accounts.defaultAccount.defaultIdentity;
const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
fields.to = "bob@example.test"; fields.from = identity.email; fields.subject = "Re: Meeting";
fields.references = "<n4@elsewhere.test>"; fields.body = "I shall come.\r\n"; fields.forcePlainText = true;
const params = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
params.composeFields = fields; params.identity = identity; params.format = Ci.nsIMsgCompFormat.PlainText;
params.type = Ci.nsIMsgCompType.New;
MailServices.compose.OpenComposeWindowWithParams(null, params);
const composing = () => Services.wm.getMostRecentWindow("msgcompose");
await until(() => composing()?.gMsgCompose?.editor && composing().gComposeType !== undefined, "window"); await wait(3000);
composing().GenericSendMessage(Ci.nsIMsgCompDeliverMode.Now);
await until(() => !composing(), "sent"); await wait(500);
inbox.addMessageDispositionState(about(inbox, "Meeting"), replied); await wait(500);

//# read and mark what somebody shares
const team = root.descendants.find(folder => folder.name.startsWith("Team"));
await update(team); await until(() => headers(team).length === 1, "shared message");
team.markMessagesRead(headers(team), true); await wait(500);

//# search on the server
const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, inbox);
const term = session.createTerm(); term.attrib = Ci.nsMsgSearchAttrib.Body; term.op = Ci.nsMsgSearchOp.Contains;
const value = term.value; value.attrib = term.attrib; value.str = "gr\u00fc\u00dfe"; term.value = value;
session.appendTerm(term);
let hits = 0;
await new Promise(resolve => {
  session.registerListener({onSearchHit() { hits++; }, onSearchDone: resolve, onNewSearch() {},
    QueryInterface: ChromeUtils.generateQI(["nsIMsgSearchNotify"])});
  session.search(null);
});
return hits;

//# quota
await update(inbox); await wait(300); return inbox.QueryInterface(Ci.nsIMsgImapMailFolder).getQuota().length;

//# new mail while idle
await wait(31000);

//# @deliver Fresh
await until(() => about(inbox, "Fresh"), "new mail"); await wait(3000);

//# @flag 8
await until(() => about(inbox, "Answer").isFlagged, "flag of another client"); await wait(500);

//# @delete 8
await until(() => !about(inbox, "Answer"), "deletion of another client"); await wait(500);

//# offline and back
const manager = Cc["@mozilla.org/messenger/offline-manager;1"].getService(Ci.nsIMsgOfflineManager);
MailServices.imap; Services.io.offline = true; await wait(1500);
inbox.markMessagesFlagged([about(inbox, "Fresh")], true);
inbox.markMessagesRead([about(inbox, "Fresh")], true);
Services.io.offline = false;
manager.goOnline(false, true, null); await wait(5000);

//# compact
await heard(l => inbox.compact(l, null));
await heard(l => named("Trash").emptyTrash(l)); await wait(1000);
