//! A double of AWS Lambda's fronts: function URLs, HTTP APIs and REST APIs, with everything that they
//! are documented to do to a request and its answer.
//!
//! It exists to be harmful: whatever passes it unharmed passes the real ones as far as these
//! alterations go. Sources stand at each; what was only seen in the field is marked so.

use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use byway_wire::content::Content;
use byway_wire::request::{Limits, RequestHead};
use byway_wire::scan::HeadScan;
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

/// Which front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// A function URL, payload format 2.0.
    FunctionUrl,
    /// An HTTP API, payload format 2.0.
    HttpApi,
    /// A REST API with `binaryMediaTypes` `*/*`, payload format 1.0.
    RestApi,
    /// A REST API without binary media types: bodies are text, whatever they are.
    RestApiText,
}

/// "Lambda quotas": 6 MB for a synchronous invocation, request and answer.
const EVENT_BYTES_MAX: usize = 6_291_456;
/// Function URLs decide by content type whether a body is text.
const TEXT: [&str; 5] = [
    "text/",
    "application/json",
    "application/xml",
    "application/javascript",
    "application/x-www-form-urlencoded",
];

/// A request as it reached the front.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The target, byte for byte.
    pub target: Vec<u8>,
    /// Names and values, in order.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer as it leaves the front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The status.
    pub status: u16,
    /// Names and values.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Given {
    fn refusal(status: u16, message: &str) -> Self {
        let fields = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status, fields, body: json!({"message": message}).to_string().into_bytes() }
    }
}

impl Front {
    /// When it gives up: "Quotas for HTTP APIs" 30 s, "for REST APIs" 29 s; a function's own timeout
    /// for URLs.
    pub const fn timeout(self) -> Duration {
        match self {
            Self::FunctionUrl => Duration::from_secs(60),
            Self::HttpApi => Duration::from_secs(30),
            Self::RestApi | Self::RestApiText => Duration::from_secs(29),
        }
    }

    /// The event that the function gets.
    ///
    /// # Errors
    /// The front's own answer, if it does not get that far.
    pub fn event(self, asked: &Asked) -> Result<Value, Given> {
        let event = match self {
            Self::FunctionUrl | Self::HttpApi => self.event_2(asked),
            Self::RestApi | Self::RestApiText => self.event_1(asked),
        };
        if event.to_string().len() > EVENT_BYTES_MAX {
            return Err(Given::refusal(413, "Request Too Long"));
        }
        Ok(event)
    }

    /// Names in lower case, repeats joined by commas, cookies apart, fields of the front's own.
    fn event_2(self, asked: &Asked) -> Value {
        let (path, query) = split(&asked.target);
        let mut headers = Map::new();
        let mut cookies = Vec::new();
        for (name, value) in &asked.fields {
            let name = name.to_ascii_lowercase();
            if name == "cookie" {
                cookies.extend(value.split("; ").map(Value::from));
                continue;
            }
            let joined = match headers.get(&name).and_then(Value::as_str) {
                Some(before) => format!("{before},{value}"),
                None => value.clone(),
            };
            headers.insert(name, joined.into());
        }
        headers.insert("x-forwarded-for".to_owned(), "127.0.0.1".into());
        headers.insert("x-forwarded-port".to_owned(), "443".into());
        headers.insert("x-amzn-trace-id".to_owned(), "Root=1-0-0".into());
        // HTTP APIs give requests without a payload a type, and hand the path over decoded
        // (seen in the field: hono#2156); function URLs keep it.
        if self == Self::HttpApi && asked.body.is_empty() {
            headers.insert("content-type".to_owned(), "application/json".into());
        }
        let raw_path = if self == Self::HttpApi { decode(&path) } else { path };
        let is_text = self.is_text(asked);
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": raw_path,
            "rawQueryString": query,
            "cookies": cookies,
            "headers": headers,
            "requestContext": {
                "http": {"method": asked.method, "path": raw_path, "protocol": "HTTP/1.1"},
                "stage": "$default",
            },
            "body": body(asked, is_text),
            "isBase64Encoded": !is_text,
        })
    }

    /// The query decoded and split at `;`, its order lost; fields remapped; a method overridden.
    fn event_1(self, asked: &Asked) -> Value {
        let (path, query) = split(&asked.target);
        let mut parameters = Map::new();
        for part in query.split(['&', ';']).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            parameters.insert(decode(name), decode(value).into());
        }
        let mut headers = Map::new();
        let mut method = asked.method.clone();
        for (name, value) in &asked.fields {
            // "Important notes": these are remapped or dropped on the way to an integration.
            let remapped = ["content-length", "date", "host", "user-agent", "range", "expect"];
            if name.eq_ignore_ascii_case("x-http-method-override") {
                method.clone_from(value);
            }
            if name.eq_ignore_ascii_case("authorization") && value.starts_with("AWS4-") {
                continue;
            }
            let is_remapped = remapped.iter().any(|known| name.eq_ignore_ascii_case(known));
            let name = if is_remapped { format!("X-Amzn-Remapped-{name}") } else { name.clone() };
            headers.insert(name, value.clone().into());
        }
        let is_text = self.is_text(asked);
        json!({
            "resource": "/{proxy+}",
            "path": path.trim_end_matches('/'),
            "httpMethod": method,
            "headers": headers,
            "queryStringParameters": parameters,
            "requestContext": {"stage": "relay", "httpMethod": method},
            "body": body(asked, is_text),
            "isBase64Encoded": !is_text,
        })
    }

    fn is_text(self, asked: &Asked) -> bool {
        let named = asked.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let content_type = named.map_or("", |(_, value)| value.as_str());
        match self {
            Self::RestApiText => true,
            Self::RestApi => false,
            Self::FunctionUrl | Self::HttpApi => {
                TEXT.iter().any(|start| content_type.starts_with(start))
            }
        }
    }

    /// What the caller gets of what the function answered.
    pub fn answer(self, answer: &Value) -> Given {
        // A payload that is not an answer is an error for REST APIs, and a body for the others.
        let Some(status) = answer.get("statusCode").and_then(Value::as_u64) else {
            return Given::refusal(502, "Internal server error");
        };
        if answer.to_string().len() > EVENT_BYTES_MAX {
            return Given::refusal(502, "Internal server error");
        }
        let body = answer.get("body").and_then(Value::as_str).unwrap_or_default();
        let is_base64 = answer.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or_default();
        // Without binary media types a REST API hands the text over as it is.
        let body = match (is_base64, self) {
            (true, Self::FunctionUrl | Self::HttpApi | Self::RestApi) => {
                match BASE64.decode(body.as_bytes()) {
                    Ok(bytes) => bytes,
                    Err(_) => return Given::refusal(502, "Internal server error"),
                }
            }
            (true, Self::RestApiText) | (false, _) => body.as_bytes().to_vec(),
        };
        let mut fields = vec![("x-amzn-RequestId".to_owned(), "0".to_owned())];
        let headers = answer.get("headers").and_then(Value::as_object);
        for (name, value) in headers.into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            let known = ["content-length", "date", "server", "connection", "transfer-encoding"];
            let is_remapped = known.iter().any(|known| name.eq_ignore_ascii_case(known));
            let name = if is_remapped { format!("x-amzn-remapped-{name}") } else { name.clone() };
            fields.push((name, value));
        }
        if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            fields.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        Given { status: u16::try_from(status).unwrap_or(502), fields, body }
    }
}

fn split(target: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(target);
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    (path.to_owned(), query.to_owned())
}

/// Percent-decoded as UTF-8, with what is none replaced.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (b, byte) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => {
                out.push(b' ');
                rest = after;
            }
            _ => {
                out.push(b);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Text is made of whatever bytes there are; what is no UTF-8 is lost.
fn body(asked: &Asked, is_text: bool) -> Value {
    if is_text {
        String::from_utf8_lossy(&asked.body).into_owned().into()
    } else {
        BASE64.encode(&asked.body).into()
    }
}

/// What a function gave.
pub enum Told {
    /// A payload.
    Whole(Value),
    /// A stream: prelude, eight NULs, and the body as it comes.
    Streamed(Box<dyn Read + Send>),
    /// The function died, or took longer than its front waits.
    Nothing,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "Whole",
            Self::Streamed(_) => "Streamed",
            Self::Nothing => "Nothing",
        })
    }
}

/// A function: gets events, one at a time and connection.
pub type Function = Arc<dyn Fn(Value) -> Told + Send + Sync>;

/// A front that listens on loopback until it is dropped.
#[derive(Debug)]
pub struct Platform {
    /// Where.
    pub addr: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Whoever waits for a connection is given a last one.
        let _gone = TcpStream::connect(self.addr);
    }
}

impl Platform {
    /// Starts one; `is_open` says whether its lock lets a request in.
    ///
    /// # Errors
    /// The system's, if there is no socket.
    pub fn start(
        front: Front,
        function: Function,
        is_open: fn(&Asked) -> bool,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let addr = listener.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopped);
        std::thread::Builder::new().name("platform".to_owned()).spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                let function = Arc::clone(&function);
                // Whoever is still served when the front ends has gone, too.
                let _served = std::thread::Builder::new().spawn(move || {
                    let _gone = serve(stream, front, &function, is_open);
                });
            }
        })?;
        Ok(Self { addr, stopped })
    }
}

fn serve(
    mut stream: TcpStream,
    front: Front,
    function: &Function,
    is_open: fn(&Asked) -> bool,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut inbox = Vec::new();
    while let Some(asked) = read(&mut stream, &mut inbox)? {
        let given = if is_open(&asked) {
            match front.event(&asked).map(|event| function(event)) {
                Err(given) => given,
                Ok(Told::Whole(answer)) => front.answer(&answer),
                Ok(Told::Nothing) => Given::refusal(504, "Endpoint request timed out"),
                Ok(Told::Streamed(from)) => {
                    stream_on(&mut stream, from)?;
                    continue;
                }
            }
        } else {
            Given::refusal(403, "Forbidden")
        };
        let mut head = format!("HTTP/1.1 {} Given\r\n", given.status);
        for (name, value) in &given.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", given.body.len()));
        stream.write_all(head.as_bytes())?;
        stream.write_all(&given.body)?;
    }
    Ok(())
}

/// A streamed answer: what the prelude says, then chunks as they come.
fn stream_on(stream: &mut TcpStream, mut from: Box<dyn Read + Send>) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut buf = vec![0; 64 * 1024];
    let prelude = loop {
        if let Some(at) = bytes.windows(8).position(|eight| eight == [0; 8]) {
            let rest = bytes.split_off(at + 8);
            let prelude = std::mem::replace(&mut bytes, rest);
            break prelude.get(..at).unwrap_or_default().to_vec();
        }
        match from.read(&mut buf)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => bytes.extend_from_slice(buf.get(..n).unwrap_or_default()),
        }
    };
    let prelude: Value = serde_json::from_slice(&prelude)?;
    let status = prelude.get("statusCode").and_then(Value::as_u64).unwrap_or(200);
    let mut head = format!("HTTP/1.1 {status} Given\r\nTransfer-Encoding: chunked\r\n");
    for (name, value) in prelude.get("headers").and_then(Value::as_object).into_iter().flatten() {
        head.push_str(&format!("{name}: {}\r\n", value.as_str().unwrap_or_default()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    loop {
        if !bytes.is_empty() {
            write!(stream, "{:x}\r\n", bytes.len())?;
            stream.write_all(&bytes)?;
            stream.write_all(b"\r\n")?;
            bytes.clear();
        }
        match from.read(&mut buf)? {
            0 => return stream.write_all(b"0\r\n\r\n"),
            n => bytes.extend_from_slice(buf.get(..n).unwrap_or_default()),
        }
    }
}

/// One request; `None` at the end of the connection.
fn read(stream: &mut TcpStream, inbox: &mut Vec<u8>) -> io::Result<Option<Asked>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut buf = vec![0; 64 * 1024];
    let mut scan = HeadScan::default();
    let len = loop {
        match scan.feed(inbox, 256 * 1024) {
            Err(why) => return Err(invalid(why.says())),
            Ok(Some(len)) => break len,
            Ok(None) => {}
        }
        match stream.read(&mut buf)? {
            0 => return Ok(None),
            n => inbox.extend_from_slice(buf.get(..n).unwrap_or_default()),
        }
    };
    let rest = inbox.split_off(len);
    let head = std::mem::replace(inbox, rest);
    let mut spans = Vec::new();
    let parsed = RequestHead::parse(&head, &Limits::default(), &mut spans)
        .map_err(|why| invalid(why.says()))?;
    let field = |span: &byway_wire::field::FieldSpan| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(span.name(&head)), text(span.value(&head)))
    };
    let mut asked = Asked {
        method: String::from_utf8_lossy(parsed.method).into_owned(),
        target: parsed.target_raw.to_vec(),
        fields: parsed.fields.iter().map(field).collect(),
        body: Vec::new(),
    };
    let mut content = Content::new(parsed.shape.framing);
    loop {
        let n = content.take(inbox, &mut asked.body).map_err(|why| invalid(why.says()))?;
        inbox.drain(..n);
        if content.is_done() {
            return Ok(Some(asked));
        }
        match stream.read(&mut buf)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => inbox.extend_from_slice(buf.get(..n).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    //! The double does the harm that it is documented to do.

    use serde_json::{Value, json};

    use super::{Asked, Front};

    fn asked(target: &str, body: &[u8]) -> Asked {
        let fields = [("X-A", "1"), ("x-a", "2"), ("Host", "h"), ("Content-Length", "3")];
        Asked {
            method: "POST".to_owned(),
            target: target.as_bytes().to_vec(),
            fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: body.to_vec(),
        }
    }

    fn at(event: &Value, pointer: &str) -> String {
        event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    #[test]
    fn each_front_does_its_own_harm() {
        let url = Front::FunctionUrl.event(&asked("/a%2Fb?x=1;y=%7C", b"\xff")).unwrap();
        assert_eq!(at(&url, "/rawPath"), "/a%2Fb");
        assert_eq!(at(&url, "/headers/x-a"), "1,2", "repeats are joined");
        assert_eq!(at(&url, "/body"), "/w==");
        let api = Front::HttpApi.event(&asked("/a%2Fb", b"")).unwrap();
        assert_eq!(at(&api, "/rawPath"), "/a/b", "decoded");
        let rest = Front::RestApi.event(&asked("/a/?x=1;y=%EA%B0%80", b"")).unwrap();
        assert_eq!(at(&rest, "/queryStringParameters/y"), "\u{ac00}", "split and decoded");
        assert_eq!(at(&rest, "/path"), "/a", "the slash at the end is lost");
        assert_eq!(at(&rest, "/headers/X-Amzn-Remapped-Host"), "h");
        let text = Front::RestApiText.event(&asked("/", b"\xff")).unwrap();
        assert_eq!(at(&text, "/body"), "\u{fffd}", "binary is lost");
        let huge = Front::FunctionUrl.event(&asked("/", &vec![0; 4_800_000]));
        assert_eq!(huge.map_err(|given| given.status), Err(413));
    }

    #[test]
    fn an_answer_that_is_none_is_a_502() {
        assert_eq!(Front::RestApi.answer(&json!({"errorType": "x"})).status, 502);
        let text = "a".repeat(7_000_000);
        assert_eq!(Front::HttpApi.answer(&json!({"statusCode": 200, "body": text})).status, 502);
        let fine = json!({"statusCode": 200, "body": "/w==", "isBase64Encoded": true});
        assert_eq!(Front::FunctionUrl.answer(&fine).body, b"\xff");
        assert_eq!(Front::RestApiText.answer(&fine).body, b"/w==");
    }
}
