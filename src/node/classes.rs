//! The classes a configuration may name: what each is, whether it is obeyed, its attributes with types and defaults.
//!
//! An attribute is written `name:type=default`; types are `s` text, `i` and `l` numbers, `b` yes or no, `o` send options.
//! A new class is one row.

use super::components::Kind;

/// What becomes of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Obeyed.
    Used,
    /// Nothing is left to do for it here: what it arranges is a matter of a Java machine, or has no effect without Java code.
    Idle,
    /// Accepted, not obeyed, and said so at start; the text says what that means.
    Missing(&'static str),
    /// Not obeyed, and running without it would be wrong: the file is refused.
    Refused,
    /// Gone from Tomcat: another class stands in (or none, if the text is empty), and the second text says so.
    Gone(&'static str, &'static str),
}

/// One class.
#[derive(Debug)]
pub struct Class {
    /// What it may be used as.
    pub kind: Kind,
    /// Its full name.
    pub name: &'static str,
    /// What becomes of it.
    pub state: State,
    /// Its attributes, in the form described above.
    attributes: &'static str,
    /// Accepts any attribute.
    pub open: bool,
}

/// The type of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Any text.
    Text,
    /// A 32-bit number.
    Int,
    /// A 64-bit number.
    Long,
    /// `true`, or anything else for no.
    Flag,
    /// Channel send options: a number or names with commas between.
    Options,
}

impl Type {
    fn of(letter: &str) -> Self {
        match letter {
            "i" => Self::Int,
            "l" => Self::Long,
            "b" => Self::Flag,
            "o" => Self::Options,
            _ => Self::Text,
        }
    }

    /// Whether a value would be taken.
    pub fn accepts(self, value: &str) -> bool {
        match self {
            Self::Int => value.parse::<i32>().is_ok(),
            Self::Long => value.parse::<i64>().is_ok(),
            Self::Text | Self::Flag => true,
            Self::Options => crate::codec::tribes::Options::parse(value).is_ok(),
        }
    }
}

impl Class {
    /// Type and default of an attribute.
    pub fn attribute(&self, name: &str) -> Option<(Type, Option<&'static str>)> {
        self.attributes.split_ascii_whitespace().find_map(|row| {
            let (key, rest) = row.split_once(':')?;
            let (letter, default) = match rest.split_once('=') {
                Some((letter, default)) => (letter, Some(default)),
                None => (rest, None),
            };
            (key == name).then(|| (Type::of(letter), default))
        })
    }

    /// The names of its attributes.
    pub fn rows(&self) -> impl Iterator<Item = &'static str> {
        self.attributes.split_ascii_whitespace().filter_map(|row| row.split(':').next())
    }

    /// The name behind the last dot.
    pub fn short(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

const fn class(kind: Kind, name: &'static str, state: State, attributes: &'static str) -> Class {
    Class { kind, name, state, attributes, open: false }
}

const fn open(kind: Kind, name: &'static str, state: State) -> Class {
    Class { kind, name, state, attributes: "", open: true }
}

/// The class of this name that may be used as `kind`.
pub fn find(kind: Kind, name: &str) -> Option<&'static Class> {
    CLASSES.iter().find(|class| class.kind == kind && class.name == name)
}

use State::{Gone, Idle, Missing, Refused, Used};

/// Every class there is.
pub static CLASSES: &[Class] = &[
    class(
        Kind::Server,
        "org.apache.catalina.core.StandardServer",
        Used,
        "address:s=localhost periodicEventDelay:i=10 port:i=8005 portOffset:i=0 shutdown:s=SHUTDOWN \
         utilityThreads:i=2 utilityThreadsAsDaemon:b=false",
    ),
    class(Kind::Service, "org.apache.catalina.core.StandardService", Used, "gracefulStopAwaitMillis:l=0 name:s"),
    class(
        Kind::Executor,
        "org.apache.catalina.core.StandardThreadExecutor",
        Used,
        "daemon:b=true maxIdleTime:i=60000 maxQueueSize:i=2147483647 maxThreads:i=200 minSpareThreads:i=25 name:s \
         namePrefix:s=tomcat-exec- threadPriority:i=5 threadRenewalDelay:l=1000",
    ),
    class(
        Kind::Executor,
        "org.apache.catalina.core.StandardVirtualThreadExecutor",
        Used,
        "name:s namePrefix:s=tomcat-virt-",
    ),
    class(
        Kind::Connector,
        "org.apache.catalina.connector.Connector",
        Used,
        "URIEncoding:s=UTF-8 allowBackslash:b=false allowTrace:b=false asyncTimeout:l=30000 discardFacades:b=true \
         enableLookups:b=false encodedReverseSolidusHandling:s=decode encodedSolidusHandling:s=reject \
         enforceEncodingInGetWriter:b=true maxCookieCount:i=200 maxParameterCount:i=10000 maxPartCount:i=50 \
         maxPartHeaderSize:i=512 maxPostSize:i=2097152 maxSavePostSize:i=4096 parseBodyMethods:s=POST port:i=-1 \
         portOffset:i=0 proxyName:s proxyPort:i=0 redirectPort:i=443 rejectSuspiciousURIs:b=false scheme:s=http \
         secure:b=false useBodyEncodingForURI:b=false useIPVHosts:b=false xpoweredBy:b=false protocol:s=HTTP/1.1 \
         executor:s SSLEnabled:b=false acceptCount:i=100 acceptorThreadPriority:i=5 address:s \
         allowHostHeaderMismatch:b=false allowedTrailerHeaders:s clientCertProvider:s compressibleMimeType:s \
         compression:s=off compressionMinSize:i=2048 connectionLinger:i=-1 connectionTimeout:i=60000 \
         connectionUploadTimeout:i=300000 continueResponseTiming:s=immediately defaultSSLHostConfigName:s=_default_ \
         disableUploadTimeout:b=true keepAliveTimeout:i=60000 maxConnections:i=8192 maxExtensionSize:i=8192 \
         maxHeaderCount:i=100 maxHttpHeaderSize:i=8192 maxHttpRequestHeaderSize:i=8192 \
         maxHttpResponseHeaderSize:i=8192 maxKeepAliveRequests:i=100 maxQueueSize:i=2147483647 maxSwallowSize:i=2097152 \
         maxThreads:i=200 maxTrailerSize:i=8192 minSpareThreads:i=10 \
         noCompressionEncodings:s=br,zstd,dcb,deflate,pack200-gzip,compress,dcz,gzip noCompressionUserAgents:s \
         pollerThreadPriority:i=5 processorCache:i=200 rejectIllegalHeader:b=true relaxedPathChars:s \
         relaxedQueryChars:s restrictedUserAgents:s selectorTimeout:l=1000 server:s \
         serverRemoveAppProvidedValues:b=false sniParseLimit:i=65536 sslImplementationName:s tcpNoDelay:b=true \
         threadPriority:i=5 useKeepAliveResponseHeader:b=true useSendfile:b=true secret:s requiredSecret:s \
         secretRequired:b=true allowedRequestAttributesPattern:s packetSize:i=8192 tomcatAuthentication:b=true \
         tomcatAuthorization:b=false ajpFlush:b=true",
    ),
    class(
        Kind::Engine,
        "org.apache.catalina.core.StandardEngine",
        Used,
        "backgroundProcessorDelay:i=10 defaultHost:s jvmRoute:s name:s startChildren:b=true startStopThreads:i=1",
    ),
    class(
        Kind::Host,
        "org.apache.catalina.core.StandardHost",
        Used,
        "appBase:s=webapps autoDeploy:b=true backgroundProcessorDelay:i=-1 \
         configClass:s=org.apache.catalina.startup.ContextConfig \
         contextClass:s=org.apache.catalina.core.StandardContext copyXML:b=false createDirs:b=true deployIgnore:s \
         deployOnStartup:b=true deployXML:b=true errorReportValveClass:s=org.apache.catalina.valves.ErrorReportValve \
         failCtxIfServletStartFails:b=false legacyAppBase:s=webapps-javaee name:s startChildren:b=true \
         startStopThreads:i=1 undeployOldVersions:b=false unpackWARs:b=true workDir:s xmlBase:s",
    ),
    class(
        Kind::Context,
        "org.apache.catalina.core.StandardContext",
        Used,
        "addWebinfClassesResources:b=false allowCasualMultipartParsing:b=false \
         allowMultipleLeadingForwardSlashInPath:b=false altDDName:s alwaysAccessSession:b=false \
         antiResourceLocking:b=false backgroundProcessorDelay:i=-1 \
         charsetMapperClass:s=org.apache.catalina.util.CharsetMapper clearReferencesHttpClientKeepAliveThread:b=true \
         clearReferencesObjectStreamClassCaches:b=true clearReferencesRmiTargets:b=true \
         clearReferencesStopThreads:b=false clearReferencesStopTimerThreads:b=false \
         clearReferencesThreadLocals:b=true configured:b=false containerSciFilter:s \
         contextGetResourceRequiresSlash:b=false cookies:b=true copyXML:b=false createUploadTargets:b=false \
         crossContext:b=false defaultContextXml:s defaultWebXml:s delegate:b=false denyUncoveredHttpMethods:b=false \
         dispatcherWrapsSameObject:b=false dispatchersUseEncodedPaths:b=true displayName:s distributable:b=false \
         docBase:s effectiveMajorVersion:i=3 effectiveMinorVersion:i=0 encodedReverseSolidusHandling:s=decode \
         encodedSolidusHandling:s=decode failCtxIfServletStartFails:b fireRequestListenersOnForwards:b=false \
         ignoreAnnotations:b=false j2EEApplication:s=none j2EEServer:s=none jndiExceptionOnFailedWrite:b=true \
         logEffectiveWebXml:b=false mapperContextRootRedirectEnabled:b=true mapperDirectoryRedirectEnabled:b=false \
         name:s notFoundClassResourceCacheSize:i=1000 originalDocBase:s override:b=false \
         parallelAnnotationScanning:b=false path:s preemptiveAuthentication:b=false privileged:b=false publicId:s \
         reloadable:b=false renewThreadsWhenStoppingContext:b=true replaceWelcomeFiles:b=false \
         requestCharacterEncoding:s resourceOnlyServlets:s=jsp responseCharacterEncoding:s sendRedirectBody:b=false \
         server:s sessionCookieDomain:s sessionCookieName:s sessionCookiePath:s \
         sessionCookiePathUsesTrailingSlash:b=false sessionTimeout:i=30 skipMemoryLeakChecksOnJvmShutdown:b=false \
         startChildren:b=true startStopThreads:i=1 startupTime:l=0 suspendWrappedResponseAfterForward:b=false \
         swallowAbortedUploads:b=true swallowOutput:b=false tldScanTime:l=0 tldValidation:b=false unloadDelay:l=2000 \
         unpackWAR:b=true urlPatternsProvidedInDecodedForm:b=false useBloomFilterForArchives:b=false \
         useHttpOnly:b=true useNaming:b=true usePartitioned:b=false useRelativeRedirects:b=true \
         validateClientProvidedNewSessionId:b=true webappVersion:s workDir:s \
         wrapperClass:s=org.apache.catalina.core.StandardWrapper xmlBlockExternal:b=true xmlNamespaceAware:b=false \
         xmlValidation:b=false",
    ),
    class(
        Kind::Realm,
        "org.apache.catalina.realm.LockOutRealm",
        Idle,
        "allRolesMode:s=strict cacheRemovalWarningTime:i=3600 cacheSize:i=1000 caseSensitive:b=false failureCount:i=5 \
         lockOutTime:i=300 realmPath:s=/realm0 stripRealmForGss:b=true transportGuaranteeRedirectStatus:i=302 \
         userAttributes:s validate:b=true x509UsernameRetrieverClassName:s",
    ),
    class(
        Kind::Realm,
        "org.apache.catalina.realm.UserDatabaseRealm",
        Idle,
        "allRolesMode:s=strict localJndiResource:b=false realmPath:s=/realm0 resourceName:s=UserDatabase \
         stripRealmForGss:b=true transportGuaranteeRedirectStatus:i=302 useStaticPrincipal:b=false userAttributes:s \
         validate:b=true x509UsernameRetrieverClassName:s",
    ),
    class(
        Kind::Realm,
        "org.apache.catalina.realm.MemoryRealm",
        Idle,
        "allRolesMode:s=strict pathname:s=conf/tomcat-users.xml realmPath:s=/realm0 stripRealmForGss:b=true \
         transportGuaranteeRedirectStatus:i=302 userAttributes:s validate:b=true x509UsernameRetrieverClassName:s",
    ),
    class(
        Kind::Valve,
        "org.apache.catalina.valves.AccessLogValve",
        Used,
        "asyncSupported:b=true buffered:b=true checkExists:b=false condition:s conditionIf:s conditionUnless:s \
         directory:s=logs enabled:b=true encoding:s fileDateFormat:s=.yyyy-MM-dd ipv6Canonical:b=false locale:s=en \
         maxDays:i=-1 maxLogMessageBufferSize:i=256 pattern:s prefix:s=access_log renameOnRotate:b=false \
         requestAttributesEnabled:b=false rotatable:b=true suffix:s",
    ),
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
        Kind::Cluster,
        "org.apache.catalina.ha.tcp.SimpleTcpCluster",
        Used,
        "channelSendOptions:o=8 channelStartOptions:i=15 clusterName:s heartbeatBackgroundEnabled:b=false \
         notifyLifecycleListenerOnFailure:b=false",
    ),
    class(
        Kind::Manager,
        "org.apache.catalina.ha.session.DeltaManager",
        Used,
        "enableStatistics:b=true expireSessionsOnShutdown:b=false maxActiveSessions:i=-1 name:s \
         notifyAttributeListenerOnUnchangedValue:b=true notifyBindingListenerOnUnchangedValue:b=false \
         notifyContainerListenersOnReplication:b=true notifyListenersOnReplication:b=true \
         notifySessionListenersOnReplication:b=true persistAuthentication:b=false processExpiresFrequency:i=6 \
         recordAllActions:b=false secureRandomAlgorithm:s=SHA1PRNG secureRandomClass:s secureRandomProvider:s \
         sendAllSessions:b=true sendAllSessionsSize:i=1000 sendAllSessionsWaitTime:i=2000 \
         sessionActivityCheck:b=false sessionAttributeNameFilter:s sessionAttributeValueClassNameFilter:s \
         sessionLastAccessAtStart:b=false stateTimestampDrop:b=true stateTransferTimeout:i=60 \
         warnOnSessionAttributeFilterFailure:b=false",
    ),
    class(
        Kind::Manager,
        "org.apache.catalina.ha.session.BackupManager",
        Used,
        "accessTimeout:l=5000 mapSendOptions:o=6 maxActiveSessions:i=-1 name:s \
         notifyAttributeListenerOnUnchangedValue:b=true notifyBindingListenerOnUnchangedValue:b=false \
         notifyListenersOnReplication:b=true persistAuthentication:b=false processExpiresFrequency:i=6 \
         recordAllActions:b=false rpcTimeout:l=15000 secureRandomAlgorithm:s=SHA1PRNG secureRandomClass:s \
         secureRandomProvider:s sessionActivityCheck:b=false sessionAttributeNameFilter:s \
         sessionAttributeValueClassNameFilter:s sessionLastAccessAtStart:b=false terminateOnStartFailure:b=false \
         warnOnSessionAttributeFilterFailure:b=false",
    ),
    class(
        Kind::Manager,
        "org.apache.catalina.session.StandardManager",
        Used,
        "maxActiveSessions:i=-1 notifyAttributeListenerOnUnchangedValue:b=true \
         notifyBindingListenerOnUnchangedValue:b=false pathname:s persistAuthentication:b=false \
         processExpiresFrequency:i=6 secureRandomAlgorithm:s=SHA1PRNG secureRandomClass:s secureRandomProvider:s \
         sessionActivityCheck:b=false sessionAttributeNameFilter:s sessionAttributeValueClassNameFilter:s \
         sessionLastAccessAtStart:b=false warnOnSessionAttributeFilterFailure:b=false",
    ),
    class(
        Kind::Manager,
        "org.apache.catalina.session.PersistentManager",
        Missing("sessions are kept in memory only"),
        "maxActiveSessions:i=-1 maxIdleBackup:i=-1 maxIdleSwap:i=-1 minIdleSwap:i=-1 \
         notifyAttributeListenerOnUnchangedValue:b=true notifyBindingListenerOnUnchangedValue:b=false \
         persistAuthentication:b=false processExpiresFrequency:i=6 saveOnRestart:b=true \
         secureRandomAlgorithm:s=SHA1PRNG secureRandomClass:s secureRandomProvider:s sessionActivityCheck:b=false \
         sessionAttributeNameFilter:s sessionAttributeValueClassNameFilter:s sessionLastAccessAtStart:b=false \
         warnOnSessionAttributeFilterFailure:b=false",
    ),
    class(
        Kind::SessionIdGenerator,
        "org.apache.catalina.util.StandardSessionIdGenerator",
        Used,
        "jvmRoute:s secureRandomAlgorithm:s=SHA1PRNG secureRandomClass:s secureRandomProvider:s sessionIdLength:i=16",
    ),
    class(
        Kind::Channel,
        "org.apache.catalina.tribes.group.GroupChannel",
        Used,
        "heartbeat:b=true heartbeatSleeptime:l=5000 jmxDomain:s=ClusterChannel jmxEnabled:b=true jmxPrefix:s name:s \
         optionCheck:b=false optionFlag:i=0",
    ),
    class(
        Kind::Membership,
        "org.apache.catalina.tribes.membership.McastService",
        Used,
        "address:s=228.0.0.4 bind:s dropTime:l=3000 frequency:l=500 localLoopbackDisabled:b=false mcastBindAddress:s \
         mcastDropTime:l port:i=45564 recoveryCounter:i=10 recoveryEnabled:b=true recoverySleepTime:l=5000 \
         soTimeout:i=0 ttl:i=0 domain:s",
    ),
    class(
        Kind::Membership,
        "org.apache.catalina.tribes.membership.StaticMembershipService",
        Used,
        "connectTimeout:i=500 expirationTime:l=5000 pingInterval:l=1000 rpcTimeout:l=3000 useThread:b=false domain:s",
    ),
    class(
        Kind::Membership,
        "org.apache.catalina.tribes.membership.cloud.CloudMembershipService",
        Refused,
        "connectTimeout:i=1000 expirationTime:l=5000 membershipProviderClassName:s readTimeout:i=1000",
    ),
    class(
        Kind::Member,
        "org.apache.catalina.tribes.membership.StaticMember",
        Used,
        "host:s hostname:s port:i=0 securePort:i=-1 udpPort:i=-1 uniqueId:s domain:s secure:b=false local:b=false",
    ),
    class(
        Kind::Receiver,
        "org.apache.catalina.tribes.transport.nio.NioReceiver",
        Used,
        "address:s=auto autoBind:i=100 bind:s daemon:b=true direct:b=true host:s maxIdleTime:l=60000 maxTasks:i=100 \
         maxThreads:i=15 minTasks:i=10 minThreads:i=6 ooBInline:b=true port:i=4000 rxBufSize:i=65536 securePort:i=-1 \
         selectorTimeout:l=5000 soKeepAlive:b=false soLingerOn:b=true soLingerTime:i=3 soReuseAddress:b=true \
         soTrafficClass:i=28 tcpNoDelay:b=true timeout:i=3000 txBufSize:i=25188 udpPort:i=-1 udpRxBufSize:i=65536 \
         udpTxBufSize:i=25188 useBufferPool:b=true",
    ),
    class(Kind::Sender, "org.apache.catalina.tribes.transport.ReplicationTransmitter", Used, ""),
    class(
        Kind::Transport,
        "org.apache.catalina.tribes.transport.nio.PooledParallelSender",
        Used,
        "address:s directBuffer:b=false keepAliveCount:i=-1 keepAliveTime:l=-1 maxRetryAttempts:i=1 maxWait:l=3000 \
         ooBInline:b=true poolSize:i=25 port:i=0 rxBufSize:i=25188 soKeepAlive:b=false soLingerOn:b=false \
         soLingerTime:i=3 soReuseAddress:b=true soTrafficClass:i=28 tcpNoDelay:b=true throwOnFailedAck:b=true \
         timeout:l=3000 txBufSize:i=65536 udpBased:b=false udpPort:i=-1 udpRxBufSize:i=25188 udpTxBufSize:i=65536",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.TcpFailureDetector",
        Used,
        "connectTimeout:l=1000 optionFlag:i=0 performReadTest:b=false performSendTest:b=true readTestTimeout:l=5000 \
         removeSuspectsTimeout:i=300",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.MessageDispatchInterceptor",
        Used,
        "alwaysSend:b=true keepAliveTime:l=5000 maxQueueSize:l=67108864 maxSpareThreads:i=2 maxThreads:i=10 \
         optionFlag:i=8 useDeepClone:b=true",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.TcpPingInterceptor",
        Used,
        "interval:l=1000 optionFlag:i=0 staticOnly:b=false useThread:b=false",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.StaticMembershipInterceptor",
        Used,
        "optionFlag:i=0",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.DomainFilterInterceptor",
        Used,
        "domain:s logInterval:i=100 optionFlag:i=0",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.OrderInterceptor",
        Used,
        "expire:l=3000 forwardExpired:b=true maxQueue:i=2147483647 optionFlag:i=0",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.GzipInterceptor",
        Used,
        "compressionMinSize:i=0 interval:i=0 optionFlag:i=256 statsEnabled:b=false",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.FragmentationInterceptor",
        Used,
        "expire:l=60000 maxSize:i=102400 optionFlag:i=0",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.ThroughputInterceptor",
        Used,
        "interval:i=10000 optionFlag:i=0",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.EncryptInterceptor",
        Used,
        "encryptionAlgorithm:s=AES/GCM/NoPadding encryptionKey:s encryptionKeyString:s optionFlag:i=0 providerName:s \
         replayWindowMessageCount:i=8192 replayWindowTime:l=10000 tandemFormat:s",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.NonBlockingCoordinator",
        Refused,
        "optionFlag:i=0",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.TwoPhaseCommitInterceptor",
        Refused,
        "deepclone:b=true expire:l=60000 optionFlag:i=0",
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
        Missing("there is no authentication here"),
        "accessTimeout:l=5000 asyncSupported:b=true cookieDomain:s cookieName:s=JSESSIONIDSSO mapSendOptions:i=6 \
         requireReauthentication:b=false rpcTimeout:l=15000 terminateOnStartFailure:b=false",
    ),
    class(Kind::ClusterListener, "org.apache.catalina.ha.session.ClusterSessionListener", Used, ""),
    class(
        Kind::Deployer,
        "org.apache.catalina.ha.deploy.FarmWarDeployer",
        Missing("applications are not accepted from the cluster"),
        "deployDir:s maxValidTime:i=300 processDeployFrequency:i=2 tempDir:s watchDir:s watchEnabled:b=false",
    ),
    class(
        Kind::CookieProcessor,
        "org.apache.tomcat.util.http.Rfc6265CookieProcessor",
        Used,
        "cookiesWithoutEquals:s=name partitioned:b=false sameSiteCookies:s=UNSET",
    ),
    open(Kind::Listener, "org.apache.catalina.startup.VersionLoggerListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.AprLifecycleListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.OpenSSLLifecycleListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.JreMemoryLeakPreventionListener", Idle),
    open(Kind::Listener, "org.apache.catalina.mbeans.GlobalResourcesLifecycleListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.ThreadLocalLeakPreventionListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.JniLifecycleListener", Idle),
    open(Kind::Listener, "org.apache.catalina.startup.UserConfig", Idle),
    open(Kind::Listener, "org.apache.catalina.startup.EngineConfig", Idle),
    open(Kind::Listener, "org.apache.catalina.startup.HostConfig", Idle),
    open(Kind::Listener, "org.apache.catalina.startup.ContextConfig", Idle),
    open(Kind::Listener, "org.apache.catalina.core.JasperListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.NamingContextListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.ContextNamingInfoListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.PropertiesRoleMappingListener", Idle),
    open(Kind::Listener, "org.apache.catalina.storeconfig.StoreConfigLifecycleListener", Idle),
    open(Kind::Listener, "org.apache.catalina.security.TLSCertificateReloadListener", Idle),
    open(
        Kind::Listener,
        "org.apache.catalina.ha.backend.HeartbeatListener",
        Missing("no proxy is told how much there is to do here"),
    ),
    open(Kind::Realm, "org.apache.catalina.realm.CombinedRealm", Idle),
    open(Kind::Realm, "org.apache.catalina.realm.AuthenticatedUserRealm", Idle),
    open(Kind::Realm, "org.apache.catalina.realm.NullRealm", Idle),
    open(Kind::Realm, "org.apache.catalina.realm.DataSourceRealm", Idle),
    open(Kind::Realm, "org.apache.catalina.realm.JNDIRealm", Idle),
    open(Kind::Realm, "org.apache.catalina.realm.JAASRealm", Idle),
    open(Kind::CredentialHandler, "org.apache.catalina.realm.MessageDigestCredentialHandler", Idle),
    open(Kind::CredentialHandler, "org.apache.catalina.realm.SecretKeyCredentialHandler", Idle),
    open(Kind::CredentialHandler, "org.apache.catalina.realm.NestedCredentialHandler", Idle),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.MessageDispatch15Interceptor",
        Gone(
            "org.apache.catalina.tribes.group.interceptors.MessageDispatchInterceptor",
            "MessageDispatchInterceptor took its place",
        ),
        "",
    ),
    class(
        Kind::ClusterListener,
        "org.apache.catalina.ha.session.JvmRouteSessionIDBinderListener",
        Gone("", "changed session ids arrive as messages of ClusterSessionListener, so that it may be left out"),
        "",
    ),
    class(
        Kind::ClusterListener,
        "org.apache.catalina.cluster.session.JvmRouteSessionIDBinderListener",
        Gone("", "changed session ids arrive as messages of ClusterSessionListener, so that it may be left out"),
        "",
    ),
    class(
        Kind::Valve,
        "org.apache.catalina.valves.RemoteAddrValve",
        Used,
        "addConnectorPort:b=false allow:s deny:s denyStatus:i=403 invalidAuthenticationWhenDeny:b=false \
         usePeerAddress:b=false asyncSupported:b=true",
    ),
    open(Kind::Valve, "org.apache.catalina.valves.RemoteHostValve", Refused),
    open(Kind::Valve, "org.apache.catalina.valves.RemoteCIDRValve", Refused),
    open(Kind::Valve, "org.apache.catalina.valves.rewrite.RewriteValve", Refused),
    open(Kind::Valve, "org.apache.catalina.valves.LoadBalancerDrainingValve", Missing("requests are never drained")),
    open(Kind::Valve, "org.apache.catalina.valves.StuckThreadDetectionValve", Idle),
    open(
        Kind::Valve,
        "org.apache.catalina.valves.CrawlerSessionManagerValve",
        Missing("crawlers get sessions as others do"),
    ),
    open(Kind::Valve, "org.apache.catalina.valves.ExtendedAccessLogValve", Missing("its log is not written")),
    open(Kind::Valve, "org.apache.catalina.valves.JsonAccessLogValve", Missing("its log is not written")),
    open(Kind::Valve, "org.apache.catalina.valves.JDBCAccessLogValve", Missing("its log is not written")),
    open(Kind::Valve, "org.apache.catalina.valves.HealthCheckValve", Missing("nothing answers at its path")),
    open(Kind::Valve, "org.apache.catalina.valves.SSLValve", Missing("fields of a proxy do not tell of TLS")),
    open(Kind::Valve, "org.apache.catalina.valves.ParameterLimitValve", Refused),
    open(Kind::Valve, "org.apache.catalina.valves.ProxyErrorReportValve", Missing("errors are reported as HTML")),
    open(Kind::Valve, "org.apache.catalina.valves.JsonErrorReportValve", Missing("errors are reported as HTML")),
    open(Kind::Valve, "org.apache.catalina.valves.SemaphoreValve", Missing("requests are not counted")),
    open(Kind::Valve, "org.apache.catalina.valves.PersistentValve", Missing("sessions are kept in memory only")),
    open(Kind::Valve, "org.apache.catalina.authenticator.SingleSignOn", Missing("there is no authentication here")),
    open(Kind::Valve, "org.apache.catalina.authenticator.BasicAuthenticator", Refused),
    open(Kind::Valve, "org.apache.catalina.authenticator.DigestAuthenticator", Refused),
    open(Kind::Valve, "org.apache.catalina.authenticator.FormAuthenticator", Refused),
    open(Kind::Valve, "org.apache.catalina.authenticator.SSLAuthenticator", Refused),
    open(
        Kind::Listener,
        "org.apache.catalina.security.SecurityListener",
        Missing("the checks of the start are not made"),
    ),
    class(Kind::Connector, "dev.tandem.SessionApi", Used, "address:s=127.0.0.1 port:i=-1 token:s"),
    open(Kind::UpgradeProtocol, "org.apache.coyote.http2.Http2Protocol", Missing("connections speak HTTP/1.1")),
    open(Kind::SslHostConfig, "org.apache.tomcat.util.net.SSLHostConfig", Idle),
    open(Kind::Free, "", Idle),
    class(Kind::Alias, "", Used, ""),
    class(Kind::GlobalNamingResources, "org.apache.catalina.deploy.NamingResourcesImpl", Idle, ""),
];
