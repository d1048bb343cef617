//! Classes of valves.

use super::State::{Missing, Refused, Used};
use super::{Class, Kind, class, open};

/// What the three valves have that let some clients in.
const FILTER: &str = "addConnectorPort:b=false allow:s deny:s denyStatus:i=403 invalidAuthenticationWhenDeny:b=false \
    usePeerAddress:b=false asyncSupported:b=true";

/// What all access logs have.
const LOG: &str = "asyncSupported:b=true buffered:b=true checkExists:b=false condition:s conditionIf:s conditionUnless:s \
    directory:s=logs enabled:b=true encoding:s fileDateFormat:s=.yyyy-MM-dd ipv6Canonical:b=false locale:s=en \
    maxDays:i=-1 maxLogMessageBufferSize:i=256 pattern:s prefix:s=access_log renameOnRotate:b=false \
    requestAttributesEnabled:b=false rotatable:b=true suffix:s";

/// The rows.
pub(super) static CLASSES: &[Class] = &[
    class(Kind::Valve, "org.apache.catalina.valves.AccessLogValve", Used, LOG),
    class(
        Kind::Valve,
        "org.apache.catalina.valves.RemoteIpValve",
        Used,
        "asyncSupported:b=true changeLocalName:b=false changeLocalPort:b=false hostHeader:s httpServerPort:i=80 \
         httpsServerPort:i=443 internalProxies:s portHeader:s protocolHeader:s=X-Forwarded-Proto \
         protocolHeaderHttpsValue:s=https proxiesHeader:s=X-Forwarded-By remoteIpHeader:s=X-Forwarded-For \
         requestAttributesEnabled:b=true trustedProxies:s",
    ),
    class(
        Kind::Valve,
        "org.apache.catalina.valves.ErrorReportValve",
        Used,
        "asyncSupported:b=true showReport:b=true showServerInfo:b=true",
    ),
    class(
        Kind::Valve,
        "org.apache.catalina.ha.tcp.ReplicationValve",
        Used,
        "asyncSupported:b=true filter:s primaryIndicator:b=false \
         primaryIndicatorName:s=org.apache.catalina.ha.tcp.isPrimarySession statistics:b=false",
    ),
    class(
        Kind::Valve,
        "org.apache.catalina.ha.session.JvmRouteBinderValve",
        Used,
        "asyncSupported:b=true enabled:b=true \
         sessionIdAttribute:s=org.apache.catalina.ha.session.JvmRouteOriginalSessionID",
    ),
    class(
        Kind::Valve,
        "org.apache.catalina.ha.authenticator.ClusterSingleSignOn",
        Missing("each application asks for names and passwords by itself"),
        "accessTimeout:l=5000 asyncSupported:b=true cookieDomain:s cookieName:s=JSESSIONIDSSO mapSendOptions:i=6 \
         requireReauthentication:b=false rpcTimeout:l=15000 terminateOnStartFailure:b=false",
    ),
    class(
        Kind::Valve,
        "org.apache.catalina.valves.RemoteAddrValve",
        Used,
        "addConnectorPort:b=false allow:s deny:s denyStatus:i=403 invalidAuthenticationWhenDeny:b=false \
         usePeerAddress:b=false asyncSupported:b=true",
    ),
    class(Kind::Valve, "org.apache.catalina.valves.RemoteHostValve", Used, FILTER),
    class(Kind::Valve, "org.apache.catalina.valves.RemoteCIDRValve", Used, FILTER),
    open(Kind::Valve, "org.apache.catalina.valves.rewrite.RewriteValve", Refused),
    class(
        Kind::Valve,
        "org.apache.catalina.valves.LoadBalancerDrainingValve",
        Used,
        "asyncSupported:b=true ignoreCookieName:s ignoreCookieValue:s redirectStatusCode:i=307",
    ),
    class(
        Kind::Valve,
        "org.apache.catalina.valves.StuckThreadDetectionValve",
        Used,
        "asyncSupported:b=true interruptThreadThreshold:i=-1 threshold:i=600",
    ),
    class(
        Kind::Valve,
        "org.apache.catalina.valves.CrawlerSessionManagerValve",
        Used,
        "asyncSupported:b=true contextAware:b=true crawlerIps:s crawlerUserAgents:s hostAware:b=true \
         sessionInactiveInterval:i=60",
    ),
    class(Kind::Valve, "org.apache.catalina.valves.ExtendedAccessLogValve", Used, LOG),
    class(Kind::Valve, "org.apache.catalina.valves.JsonAccessLogValve", Used, LOG),
    open(Kind::Valve, "org.apache.catalina.valves.JDBCAccessLogValve", Missing("its log is not written")),
    class(
        Kind::Valve,
        "org.apache.catalina.valves.HealthCheckValve",
        Used,
        "asyncSupported:b=true checkContainersAvailable:b=true path:s=/health",
    ),
    class(
        Kind::Valve,
        "org.apache.catalina.valves.SSLValve",
        Used,
        "asyncSupported:b=true sslCipherHeader:s=ssl_cipher sslCipherUserKeySizeHeader:s=ssl_cipher_usekeysize \
         sslClientCertHeader:s=ssl_client_cert sslClientEscapedCertHeader:s=ssl_client_escaped_cert \
         sslSessionIdHeader:s=ssl_session_id",
    ),
    open(Kind::Valve, "org.apache.catalina.valves.ParameterLimitValve", Refused),
    open(Kind::Valve, "org.apache.catalina.valves.ProxyErrorReportValve", Missing("errors are reported as HTML")),
    class(
        Kind::Valve,
        "org.apache.catalina.valves.JsonErrorReportValve",
        Used,
        "asyncSupported:b=true showReport:b=true showServerInfo:b=true",
    ),
    class(
        Kind::Valve,
        "org.apache.catalina.valves.SemaphoreValve",
        Used,
        "asyncSupported:b=true block:b=true concurrency:i=10 fairness:b=false highConcurrencyStatus:i=-1 \
         interruptible:b=false",
    ),
    open(Kind::Valve, "org.apache.catalina.valves.PersistentValve", Missing("sessions are kept in memory only")),
    open(
        Kind::Valve,
        "org.apache.catalina.authenticator.SingleSignOn",
        Missing("each application asks for names and passwords by itself"),
    ),
    open(Kind::Valve, "org.apache.catalina.authenticator.BasicAuthenticator", Refused),
    open(Kind::Valve, "org.apache.catalina.authenticator.DigestAuthenticator", Refused),
    open(Kind::Valve, "org.apache.catalina.authenticator.FormAuthenticator", Refused),
    open(Kind::Valve, "org.apache.catalina.authenticator.SSLAuthenticator", Refused),
];
